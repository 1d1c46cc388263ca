from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.config import RunConfig, flatten, override
from raytrain.data.table import Table
from raytrain.errors import Interrupted, NonFiniteError, RaytrainError, RefusedError
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint, stop
from raytrain.training.fit import fit
from raytrain.training.run import open_tables, resumable, train
from tests.runs import tiny
from tests.tables import make_table

DIVE: dict[str, Any] = {"method.kind": "dive", "method.head_dim": 4, "method.iterations": 2, "optim.batch_size": 4}


def run(config: RunConfig, **more: Any) -> dict[str, float]:
    return fit(config, open_tables(config), **more)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    path = checkpoint.latest(folder)
    assert path is not None
    return checkpoint.load(path).weights


@pytest.mark.parametrize("method", ["vse_infinity", "dvse", "dive", "vsepp", "pvse", "pcme", "pcmepp"])
@pytest.mark.parametrize("text", ["tokens", "bigru"])
def test_a_run_learns_what_the_made_up_table_hides(method: str, text: str, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=60)
    config = tiny(
        table, tmp_path, method__kind=method, encoder__text__kind=text, optim__num_epochs=6, optim__lr=5e-3,
        data__word_drop=0.0,
    )  # fmt: skip
    if method == "dive":
        rates = {"optim.lr": 3e-3, "method.image_lr_scale": 1.0, "method.set_lr_scale": 1.0}
        config = override(config, DIVE | rates | {"optim.num_epochs": 12})
    reported: list[dict[str, float]] = []
    run(config, report=lambda metrics, _: reported.append(metrics))
    assert reported[-1]["train/loss"] < reported[1]["train/loss"] / 1.2
    if text == "tokens":  # the words of the table are random: only the token states tell of the image
        assert reported[-1]["best"] > 450 > 100


def test_the_run_folder_holds_its_whole_story(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    reported: list[tuple[dict[str, float], Path | None]] = []
    run(config, report=lambda metrics, path: reported.append((metrics, path)))
    events = Journal(config.folder).read()
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]
    assert events[0]["config"]["method.views"] == 2
    assert events[0]["fingerprint"] == table.fingerprint
    assert events[-1]["status"] == "finished"
    assert [path.name for _, path in reported if path] == ["checkpoint_00000003", "checkpoint_00000006"]
    assert reported[-1][0]["epoch"] == 2
    assert reported[-1][0]["best"] == max(metrics["val/rsum"] for metrics, _ in reported)
    similarity = np.load(config.folder / "evaluation" / "similarity_val.npy", allow_pickle=False)
    assert similarity.shape == (30, 6)
    assert reported[-1][0]["cost/worker_seconds"] > 0
    assert reported[-1][0]["cost/gpu_seconds"] == 0 or torch.cuda.is_available()


@pytest.mark.filterwarnings("ignore:tiny")
def test_a_run_of_sets_journals_their_variance(table: Table, tmp_path: Path) -> None:
    metrics = run(override(tiny(table, tmp_path, method__kind="dive"), DIVE))
    assert metrics["diagnostics/set_log_variance"] < 0
    assert metrics["diagnostics/query_set_log_variance"] < 0
    assert 0 <= metrics["train/collapsed"] <= 1


def test_a_collapse_that_lasts_an_epoch_is_told(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    for name in ("lite0", "minilm"):  # images and captions that nothing tells apart
        features = np.load(table.path / "features" / f"{name}.npy", mmap_mode="r+")
        features[...] = 1.0
    changes = {"optim.lr": 1e-7, "method.mean_warmup_epochs": 1, "method.dropout": 0.0}
    config = override(tiny(table, tmp_path, method__kind="dive"), DIVE | changes)
    with pytest.warns(UserWarning, match="tiny: in every step of epoch 2 .*mean_warmup_epochs") as told:
        run(config)
    assert len(told) == 1


class StopHere(Exception):
    """Ends a run from its report."""


@pytest.mark.parametrize(
    "changes",
    [{}, {"optim__ema_decay": 0.5}, {"optim__accumulation": 2}, {"method__kind": "dive"}, {"method__kind": "pcme"}],
)
@pytest.mark.parametrize("place", ["epoch", "step"])
def test_resumed_equals_uninterrupted_bit_for_bit(
    place: str, changes: dict[str, Any], table: Table, tmp_path: Path
) -> None:
    if changes.get("method__kind") == "dive":  # batches of images, dropout drawn by step
        changes = {name.replace(".", "__"): value for name, value in DIVE.items()} | changes
    whole = tiny(table, tmp_path / "whole", optim__num_epochs=3, **changes)
    run(whole)

    def stop(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 2:
            raise StopHere

    parts = tiny(table, tmp_path / "parts", optim__num_epochs=3, optim__checkpoint_steps=4, **changes)
    with pytest.raises(StopHere):
        run(parts, report=stop, checkpoint_root=tmp_path / "kept")
    first, inside, _ = checkpoint.complete(tmp_path / "kept")  # after 3 steps, 4 (or 5: the next update), and 6
    run(parts, resume_from=first if place == "epoch" else inside)
    for name, value in weights(whole.folder).items():
        assert torch.equal(value, weights(parts.folder)[name]), name
    last = [[e["metrics"] for e in Journal(c.folder).read() if e["event"] == "epoch"][-1] for c in (whole, parts)]
    ours, theirs = ({k: v for k, v in metrics.items() if not k.startswith("cost")} for metrics in last)
    assert ours == theirs
    resumed = Journal(parts.folder).last("resume")
    assert resumed is not None
    assert resumed["epoch"] == 1


def test_a_nan_feature_stops_the_run_naming_step_and_term(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    features = np.load(table.path / "features" / "lite0.npy", mmap_mode="r+")
    features[0] = np.nan
    config = tiny(table, tmp_path)
    with pytest.raises(NonFiniteError, match=r"step \d \(epoch 1\): view_triplet is nan"):
        run(config)
    end = Journal(config.folder).last("end")
    assert end is not None
    assert end["status"] == "failed"
    assert "NonFiniteError" in end["error"]


def test_sigterm_writes_a_checkpoint_and_says_resumable(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__num_epochs=50)
    killed = []

    def kill(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            killed.append(True)

    with pytest.raises(Interrupted) as error:
        run(config, report=kill)
    assert killed
    assert error.value.exit_code == 75
    latest = checkpoint.latest(config.folder)
    assert latest is not None
    assert checkpoint.load(latest).manifest["step"] == 7  # the first step after the signal
    end = Journal(config.folder).last("end")
    assert end is not None
    assert end["status"] == "interrupted"


def test_a_run_that_trains_elsewhere_is_asked_to_stop_through_its_folder(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, name="a", optim__num_epochs=3, optim__lr=1e-4)

    def ask(metrics: dict[str, float], path: Path | None) -> None:
        stop.ask(config.folder)
        time.sleep(stop.LOOK_EVERY_S)

    with pytest.raises(Interrupted, match="stopped at step 4"):
        fit(config, open_tables(config), ask)
    train(config)
    journal = Journal(config.folder).read()
    assert [event["epoch"] for event in journal if event["event"] == "epoch"] == [1, 2, 3]
    assert [event["status"] for event in journal if event["event"] == "end"] == ["interrupted", "finished"]


def test_an_epoch_whose_line_a_kill_prevented_is_told_on_resuming(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    kept = tmp_path / "kept"
    run(config, checkpoint_root=kept)
    journal = config.folder / "journal.jsonl"
    start, first, *_ = journal.read_text().splitlines(keepends=True)
    journal.write_text(start)  # the first checkpoint is complete, its line was never written
    run(config, resume_from=checkpoint.complete(kept)[0])
    events = Journal(config.folder).read()
    assert [(e["event"], e.get("epoch")) for e in events][1:] == [
        ("resume", 1), ("epoch", 1), ("epoch", 2), ("end", None),
    ]  # fmt: skip
    assert events[2]["metrics"] == json.loads(first)["metrics"]


def test_a_run_stopped_at_its_very_last_step_is_judged_on_resuming(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__max_steps=4)

    def stop(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # noticed after step 4, the last

    with pytest.raises(Interrupted):
        run(config, report=stop)
    latest = checkpoint.latest(config.folder)
    assert latest is not None
    assert checkpoint.load(latest).manifest["step"] == 4
    metrics = run(config, resume_from=latest)
    assert metrics["val/rsum"] > 0
    assert [e["step"] for e in Journal(config.folder).read() if e["event"] == "epoch"] == [3, 4]


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
    assert resumable(config) is None


def test_a_run_that_went_on_elsewhere_is_written_to_no_more_from_here(table: Table, tmp_path: Path) -> None:
    """As on a host that was cut off: the run was started again on another one, and this one trains on."""
    config = tiny(table, tmp_path, name="a")
    journal = Journal(config.folder)

    def cut_off(metrics: dict[str, float], checkpoint: Path | None) -> None:
        journal.write("resume", uid="u", life="another", epoch=1, checkpoint=checkpoint and checkpoint.name)

    with pytest.raises(RaytrainError, match="another process has gone on with this run"):
        fit(config, open_tables(config), cut_off)
    assert [event["event"] for event in journal.read()] == ["start", "epoch", "resume"]  # no second epoch, no end
    assert len(list(config.folder.glob("checkpoint_*"))) == 1


def test_max_steps_ends_a_dry_run_early(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__max_steps=1)
    run(config)
    assert [path.name for path in checkpoint.complete(config.folder)] == ["checkpoint_00000001"]


def test_only_the_best_and_the_last_checkpoint_are_kept(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__num_epochs=5)
    seen: list[float] = []
    run(config, report=lambda metrics, _: seen.append(metrics["val/rsum"]))
    kept = [checkpoint.load(path).manifest["epoch"] for path in checkpoint.complete(config.folder)]
    assert kept == sorted({seen.index(max(seen)) + 1, 5})


def test_the_same_seed_gives_the_same_run_and_another_seed_another(table: Table, tmp_path: Path) -> None:
    found = [run(tiny(table, tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert found[0]["train/loss"] == found[1]["train/loss"]
    assert found[0]["train/loss"] != found[2]["train/loss"]
