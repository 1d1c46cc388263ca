"""`train --from`: a new run with another one's weights, of which its journal says whose they are."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from raytrain.config import RunConfig, override
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.initial_weights import misfits
from raytrain.training.run import checkpoint_of, train
from tests.runs import fit_here, tiny
from tests.tables import make_table
from tests.training.test_checkpoint import flip


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A finished run, which tests only read."""
    root = tmp_path_factory.mktemp("origin")
    config = tiny(make_table(root / "table"), root, name="first", encoder__text__kind="bigru", optim__num_epochs=1)
    train(config)
    return config


def begun_from(origin: RunConfig, storage: Path, **changes: object) -> RunConfig:
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    start = {"optim.start_from": str(checkpoint_of(origin.folder)), "storage": str(storage), "name": "second"}
    return override(origin, start | changes)


def trained_weights(saved: checkpoint.Checkpoint) -> dict[str, torch.Tensor]:
    """Without batch norm's statistics, which follow the data whatever the learning rate is."""
    return {
        name: value
        for name, value in saved.weights.items()
        if "running_" not in name and not name.endswith("num_batches_tracked")
    }


def test_a_run_starts_with_the_weights_alone_and_its_journal_says_whose(origin: RunConfig, tmp_path: Path) -> None:
    table = make_table(tmp_path / "other", items=24, seed=5)
    config = begun_from(origin, tmp_path, optim__lr=1e-30, data__table=str(table.path), optim__weight_decay=0.0)
    train(config)
    source = checkpoint.load(checkpoint_of(origin.folder))
    ended = checkpoint.load(checkpoint_of(config.folder))
    assert all(torch.equal(value, ended.weights[name]) for name, value in trained_weights(source).items())
    assert source.vocabulary is not None and ended.vocabulary is not None
    assert ended.vocabulary.words == source.vocabulary.words  # though the other table has other words
    assert (ended.manifest["epoch"], ended.config.optim.start_from) == (1, str(source.path))
    start, first = Journal(config.folder).last("start"), Journal(origin.folder).last("start")
    assert start is not None and first is not None
    assert start["origin"] == {
        "run": "first", "experiment": "default", "uid": first["uid"], "checkpoint": str(source.path), "epoch": 1,
        "step": source.manifest["step"], "fingerprint": first["fingerprint"],
        "sha256": hashlib.sha256((source.path / "model.safetensors").read_bytes()).hexdigest(),
    }  # fmt: skip
    assert start["uid"] != first["uid"] and start["fingerprint"] == table.fingerprint


def test_the_average_of_weights_starts_from_them_too(origin: RunConfig, tmp_path: Path) -> None:
    config = begun_from(origin, tmp_path, optim__lr=1e-30, optim__ema_decay=0.5, optim__weight_decay=0.0)
    train(config)
    source, ended = (trained_weights(checkpoint.load(checkpoint_of(each.folder))) for each in (origin, config))
    torch.testing.assert_close(ended, source)


def test_weights_of_another_model_are_one_error_that_names_fields_and_tensors(
    origin: RunConfig, tmp_path: Path
) -> None:
    config = begun_from(origin, tmp_path, method__views=3, encoder__dim=16)
    with pytest.raises(UsageError) as caught:
        train(config)
    text = str(caught.value)
    assert "\n" not in text and "encoder.dim is 16, was 8" in text and "method.views is 3, was 2" in text
    assert "and" in text and " more. Give this run the settings of that one." in text
    assert not config.folder.exists()


def test_weights_that_fit_by_their_shapes_alone_are_those_of_another_model(origin: RunConfig, tmp_path: Path) -> None:
    first = override(origin, {"method.kind": "vse_infinity", "name": "vse", "storage": str(tmp_path)})
    train(first)
    config = override(first, {"method.kind": "vsepp", "name": "second", "optim.num_epochs": 1})
    config = override(config, {"optim.start_from": str(checkpoint_of(first.folder))})
    with pytest.raises(UsageError, match=r"method\.kind is vsepp, was vse_infinity"):
        train(config)


def test_a_damaged_checkpoint_starts_no_run(origin: RunConfig, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint_of(origin.folder), tmp_path / "copy"))
    flip(copy / "model.safetensors")
    with pytest.raises(DataError, match="sha256 differs"):
        train(begun_from(origin, tmp_path, optim__start_from=str(copy)))
    with pytest.raises(DataError, match=r"manifest\.json: missing"):
        train(begun_from(origin, tmp_path, optim__start_from=str(tmp_path / "none")))


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_from_the_same_weights(
    origin: RunConfig, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(checkpoint_of(origin.folder), tmp_path / "copy"))
    config = begun_from(origin, tmp_path, optim__start_from=str(copy))
    train(config)
    events = (config.folder / "journal.jsonl").read_text().splitlines()
    for path in checkpoint.complete(config.folder):
        shutil.rmtree(path)
    (config.folder / "journal.jsonl").write_text(events[0] + "\n")  # as a kill left it
    fit_here(config)
    for path in checkpoint.complete(config.folder):
        shutil.rmtree(path)
    (config.folder / "journal.jsonl").write_text(events[0] + "\n")
    source = checkpoint.load(copy)
    weights = {name: value + 1 for name, value in source.weights.items()}
    facts = {name: source.manifest[name] for name in ("epoch", "step", "metrics", "selected", "fingerprint")}  # type: ignore[literal-required]
    saved = checkpoint.save(tmp_path / "new", source.config, weights, source.state(), facts, source.vocabulary)
    shutil.rmtree(copy)
    shutil.copytree(saved, copy)
    with pytest.raises(RefusedError, match="holds other weights than when second was started from it"):
        fit_here(config)


def test_misfits_name_each_tensor() -> None:
    model = torch.nn.Linear(2, 3)
    lines = misfits(model, {"weight": torch.ones(3, 4), "extra": torch.ones(())})
    assert lines == ["bias is 3, was absent", "extra is absent, was a number", "weight is 3x2, was 3x4"]
    assert misfits(model, model.state_dict()) == []
