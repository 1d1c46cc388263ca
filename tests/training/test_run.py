"""A run around its loop: its name, its tables, resuming it, loading what it kept, and where its config comes from."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from raytrain.config import RunConfig, flatten, override
from raytrain.data.table import QuerySplit, Table
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.errors import Interrupted as InterruptedRun
from raytrain.scoring.embed import embed_split
from raytrain.tracking.follow import Follower
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint, stop
from raytrain.training.manifest import read_manifest, signed
from raytrain.training.run import (
    checkpoint_of,
    load_run,
    named,
    open_tables,
    process_group,
    resumable,
    train,
    unchanged_table,
)
from tests.runs import fit_here, tiny
from tests.tables import make_query_table, make_table, redescribe
from tests.training.test_checkpoint import flip

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A finished run, which tests only read."""
    root = tmp_path_factory.mktemp("trained")
    config = tiny(make_table(root / "table"), root / "runs")
    train(config)
    return config


def test_a_run_that_another_process_finishes_meanwhile_is_finished(
    trained: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = override(trained, {"storage": str(tmp_path)})
    shutil.copytree(trained.folder, config.folder)
    journal = config.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"event": "end"' not in line))

    def finish(folder: Path, timeout_s: float) -> None:
        Journal(folder).write("end", status="finished")

    monkeypatch.setattr("raytrain.training.run._wait_for_writer", finish)
    with pytest.raises(RefusedError, match="holds a finished run"):
        resumable(config)


def test_a_run_is_named_after_method_table_seed_and_time(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, name="", seed=7)
    name = named(config).name
    assert name.startswith(f"dvse-{table.path.name}-s7-")
    assert time.strptime(name.rpartition("s7-")[2], "%m%d-%H%M%S")
    assert named(override(config, {"name": "given"})).name == "given"
    in_blanks = override(config, {"data.table": str(tmp_path / "my data (1)")})
    assert named(in_blanks).name.startswith("dvse-my-data-1-s7-")


def test_tables_are_opened_for_training_and_selection(table: Table, tmp_path: Path) -> None:
    tables = open_tables(tiny(table, tmp_path, data__val_split="train"))
    assert {which: split.name for which, split in tables.items()} == {"train": "train", "val": "train"}
    queries = make_query_table(tmp_path / "queries")
    assert isinstance(open_tables(tiny(queries, tmp_path, method__kind="rau"))["val"], QuerySplit)


def test_a_sweeps_run_opens_the_sweeps_table_alone(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    open_tables(config, table.fingerprint)
    with pytest.raises(RefusedError, match="fingerprint"):
        open_tables(config, "0" * 64)


def test_a_method_meets_the_table_it_trains_on_or_says_so(table: Table, tmp_path: Path) -> None:
    queries = make_query_table(tmp_path / "queries")
    with pytest.raises(UsageError, match="holds composed queries; dvse trains on images with captions"):
        open_tables(tiny(queries, tmp_path))
    with pytest.raises(UsageError, match="holds images with captions; rau trains on composed queries"):
        open_tables(tiny(table, tmp_path, method__kind="rau"))
    with pytest.raises(UsageError, match=r"rau does not train with data\.batch_by=pair; choose query"):
        tiny(queries, tmp_path, method__kind="rau", data__batch_by="pair")


def test_a_run_that_another_process_trains_is_refused(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    clock = itertools.count(0.0, 5.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    config = tiny(table, tmp_path)
    other = Journal(config.folder)
    other.write("start", config=flatten(config), uid="u")
    with pytest.raises(RefusedError, match="another process is training"):
        resumable(config)
    other.close()
    assert resumable(config) == checkpoint.Resumption()


def test_a_request_to_stop_from_before_the_start_is_withdrawn(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    config.folder.mkdir(parents=True)
    stop.ask(config.folder)
    assert resumable(config) == checkpoint.Resumption()
    assert not stop.StopRequest(config.folder).is_set()


def test_other_ranks_do_not_wait_for_the_first_which_may_write_already(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(table, tmp_path)
    journal = Journal(config.folder)
    journal.write("start", config=flatten(config), uid="u")
    monkeypatch.setenv("RANK", "1")
    assert resumable(config, patience_s=0.0) == checkpoint.Resumption()
    journal.close()


def test_a_run_goes_on_where_its_features_lie_elsewhere(table: Table, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(metrics: dict[str, float], _: Path | None) -> None:
        raise Stop

    config = tiny(table, tmp_path)
    with pytest.raises(Stop):
        fit_here(config, report=stop)
    elsewhere = override(config, {"feed.features": "device", "feed.read_ahead": 3})
    assert resumable(elsewhere).path == checkpoint.latest(config.folder) is not None
    with pytest.raises(RefusedError, match=r"optim\.lr was 0\.001, is 0\.5"):
        resumable(override(config, {"optim.lr": 0.5}))


def test_a_run_does_not_go_on_with_features_that_were_encoded_again(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    config = tiny(table, tmp_path, optim__max_steps=1)

    def stop(*given: object) -> None:
        raise InterruptedRun("here")

    with pytest.raises(InterruptedRun):
        fit_here(config, report=stop)
    assert resumable(config) is not None
    redescribe(table.path, lambda description: description["features"]["lite0"].update(sha256="0" * 64))
    with pytest.raises(RefusedError, match=r"features lite0\.npy are not those that this began with"):
        resumable(config)


@dataclass
class Interrupted:
    """A run of three epochs that was stopped in its third, and one that was not."""

    config: RunConfig
    uninterrupted: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """Runs that tests only copy."""
    root = tmp_path_factory.mktemp("interrupted")
    table = make_table(root / "table")
    whole, config = (tiny(table, root, name=name, optim__num_epochs=3) for name in ("whole", "run"))
    train(whole)
    path = checkpoint.latest(whole.folder)
    assert path is not None

    def stop_in_the_third(metrics: dict[str, float], _: Path | None) -> None:
        if metrics["epoch"] == 2:
            stop.ask(config.folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stop, "LOOK_EVERY_S", 0.0)  # an epoch takes less than the pause between two looks
        with pytest.raises(InterruptedRun):
            fit_here(config, report=stop_in_the_third, checkpoint_root=config.folder)
    assert len(checkpoint.complete(config.folder)) == 3
    return Interrupted(config, checkpoint.load(path).weights)


@pytest.mark.parametrize("damage", ["none", "newest", "two", "all"])
def test_a_run_falls_back_to_its_newest_whole_checkpoint_and_ends_as_if_nothing_had_been(
    damage: str, interrupted: Interrupted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = override(interrupted.config, {"storage": str(tmp_path)})
    shutil.copytree(interrupted.config.folder, config.folder)
    hurt = checkpoint.complete(config.folder)[{"none": 3, "newest": 2, "two": 1, "all": 0}[damage] :]
    for path, name in zip(hurt, ("state.pt", "manifest.json", "model.safetensors"), strict=False):
        flip(path / name)
    (config.folder / ".part_left").mkdir()
    with Follower(config, None):
        train(config)
    (resumed,) = [event for event in Journal(config.folder).read() if event["event"] == "resume"]
    assert list(resumed.get("left", {})) == [path.name for path in reversed(hurt)]
    assert resumed["epoch"] == min(2, 3 - len(hurt))
    printed = capsys.readouterr().err
    assert all(path.name in printed for path in hurt) and ("set aside" in printed) == bool(hurt)
    last = checkpoint.latest(config.folder)
    assert last is not None and last.name == "checkpoint_00000009"
    ended = checkpoint.load(last).weights
    assert all(torch.equal(value, ended[name]) for name, value in interrupted.uninterrupted.items())
    assert not (config.folder / ".part_left").exists()
    assert load_run(config.folder)[2].path == checkpoint.best(config.folder)


@pytest.mark.parametrize("name", ["manifest.json", "state.pt", "model.safetensors", "whole folder"])
def test_the_best_checkpoint_is_evaluated_or_none(name: str, trained: RunConfig, tmp_path: Path) -> None:
    config = override(trained, {"storage": str(tmp_path)})
    shutil.copytree(trained.folder, config.folder)
    first = checkpoint.load(checkpoint.complete(config.folder)[0])
    Journal(config.folder).write("epoch", epoch=1, step=3, metrics={"val/rsum": 9999.0})  # the first is the best
    best = config.folder / "checkpoint_00000003"
    if not best.exists():
        shutil.copytree(first.path, best)
    fields = read_manifest(best)
    fields |= {"selected": 9999.0, "epoch": 1, "step": 3}
    (best / "manifest.json").write_text(json.dumps(signed(fields)))
    assert checkpoint_of(config.folder) == best
    if name == "whole folder":
        shutil.rmtree(best)
    else:
        flip(best / name)
    with pytest.raises(DataError, match=r"checkpoint_00000003.*(damaged|gone)") as caught:
        load_run(config.folder)
    assert len(caught.value.problems) == 1


def test_a_finished_run_is_not_resumed(trained: RunConfig) -> None:
    with pytest.raises(RefusedError, match="holds a finished run"):
        resumable(trained)
    with pytest.raises(RefusedError, match="holds a finished run"):
        train(trained)


def test_a_request_to_stop_from_before_is_withdrawn(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__max_steps=1)
    config.folder.mkdir(parents=True)
    stop.ask(config.folder)
    assert train(config)["val/rsum"] > 0


def test_processes_of_torchrun_need_one_name(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="need one name"):
        train(tiny(table, tmp_path, name=""))


def test_the_process_group_is_made_where_torchrun_started_several(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(dist, "init_process_group", made.append)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: made.append("destroyed"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group():
        assert made == []
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(KeyError), process_group():
        raise KeyError
    assert made == ["gloo", "destroyed"]


def test_a_run_is_loaded_from_its_best_checkpoint(trained: RunConfig) -> None:
    model, feed, saved = load_run(trained.folder)
    assert saved.path == checkpoint.best(trained.folder)
    assert not model.training
    assert all(torch.equal(value, saved.weights[name]) for name, value in model.state_dict().items())
    val = Table(trained.data.table).split("val")
    query, gallery = embed_split(model, val, feed, CPU)
    assert (len(query), len(gallery)) == (len(val.texts), len(val.items))


def test_a_checkpoint_is_loaded_by_its_own_folder_and_over_another_table(trained: RunConfig, tmp_path: Path) -> None:
    path = checkpoint.latest(trained.folder)
    assert path is not None
    other = make_table(tmp_path / "other", items=8, seed=3)
    model, feed, saved = load_run(path, other)
    assert saved.path == path
    query, gallery = embed_split(model, other.split("val"), feed, CPU)
    assert (len(query), len(gallery)) == (10, 2)


def test_a_vocabulary_is_that_of_training_whatever_table_is_read(tmp_path: Path) -> None:
    config = tiny(make_table(tmp_path / "table"), tmp_path, encoder__text__kind="bigru", optim__max_steps=1)
    fit_here(config)
    _, feed, saved = load_run(config.folder, make_table(tmp_path / "other", items=4, seed=3))
    assert feed.vocabulary is not None and saved.vocabulary is not None
    assert feed.vocabulary.words == saved.vocabulary.words


def test_a_folder_without_a_checkpoint_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no finished checkpoint; give the folder of a run"):
        load_run(tmp_path)


def test_numbers_on_a_table_that_has_changed_are_refused(trained: RunConfig, tmp_path: Path) -> None:
    _, _, saved = load_run(trained.folder)
    assert unchanged_table(saved).fingerprint == saved.manifest["fingerprint"]
    other = override(trained, {"data.table": str(make_table(tmp_path / "other", seed=1).path)})
    with pytest.raises(RefusedError, match=r"has changed since tiny was trained .*numbers on other data"):
        unchanged_table(replace(saved, config=other))


def test_a_run_that_was_moved_with_its_storage_is_the_same_run(trained: RunConfig, tmp_path: Path) -> None:
    moved = override(trained, {"storage": str(tmp_path)})
    shutil.copytree(trained.folder, moved.folder)
    with pytest.raises(RefusedError, match="holds a finished run"):
        resumable(moved)
