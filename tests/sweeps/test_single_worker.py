"""A trial of one worker in Tune's own process, told to a Tune that only listens."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

tune = pytest.importorskip("ray.tune", reason="Ray is not installed")

from raytrain.config import RunConfig, override
from raytrain.data.table import Table
from raytrain.errors import RefusedError, Stopped
from raytrain.sweeps.ledger import Ledger, recorder
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.single_worker import run_single_worker
from raytrain.sweeps.study import outcome
from raytrain.sweeps.trial import trial_config
from raytrain.tracking.journal import Journal, has_writer
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.run_record import read_run
from raytrain.training.run import train
from tests.runs import small_run
from tests.training.test_checkpoint import flip


class Listener:
    """Tune, as a trial sees it: takes reports, and ends the trial's thread after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_after: int = 99) -> None:
        self.heard: list[dict[str, Any]] = []
        self.stop_after = stop_after
        monkeypatch.setattr(tune, "report", self.report)

    def report(self, metrics: dict[str, Any]) -> None:
        self.heard.append(metrics)
        if len(self.heard) >= self.stop_after:
            raise SystemExit(0)


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return override(small_run(tmp_path), {"name": "alone"})


def trial(base: RunConfig, number: int = 0, **changes: Any) -> RunConfig:
    return trial_config(base, "alone", number, changes)


def losses(config: RunConfig) -> list[tuple[int, float, float]]:
    epochs = [event for event in Journal(config.folder).read() if event["event"] == "epoch"]
    return [(e["step"], e["metrics"]["train/loss"], e["metrics"]["val/rsum"]) for e in epochs]


def test_trials_of_one_process_train_as_runs_of_their_own(base: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch)
    first, second = trial(base), trial(base, 1, **{"optim.lr": 3e-3})
    for config in (first, second):
        run_single_worker(config, {"CPU": 1.0}, "the sweep", Table(config.data.table).fingerprint)
    for config in (first, second):
        apart = override(config, {"name": f"{config.name}-apart"})
        train(apart)
        assert losses(config) == losses(apart)
        assert len(losses(config)) == 3
    assert losses(first) != losses(second)
    # each epoch, and the last once more for one that had nothing left to train
    assert [one["epoch"] for one in listener.heard] == [1, 2, 3, 3] * 2
    assert {"best", "epoch", "cost/index_bytes", "cost/gpu_seconds", "cost/worker_seconds"} == set(listener.heard[0])
    assert Journal(first.folder).last("start")["parent"] == "the sweep"  # type: ignore[index]


def test_an_early_stop_lets_go_of_the_run_and_leaves_its_end_to_the_ledger(
    base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Listener(monkeypatch, stop_after=2)
    config = trial(base)
    with pytest.raises(SystemExit) as ended:  # Tune waits for ever for one that returns
        run_single_worker(config, {"CPU": 1.0}, "the sweep", Table(config.data.table).fingerprint)
    assert ended.value.code == 0
    assert not has_writer(config.folder)
    assert [event["event"] for event in Journal(config.folder).read()] == ["start", "epoch", "epoch"]
    ledger = Ledger(base, "alone", SweepOptions(), Mirror(None))
    ledger.ended(0, {})
    assert read_run(config.folder).status == "pruned"
    assert ledger.recorded[0]["state"] == "pruned"


def test_a_stopped_trial_that_does_not_let_go_ends_its_process(
    base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        pass

    ended = threading.Event()
    monkeypatch.setattr("raytrain.sweeps.single_worker.LET_GO_S", 0.1)
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())

    def hangs(*given: Any) -> None:
        with contextlib.suppress(Stopped):
            given[-1]({"best": 1.0, "epoch": 1.0})
        if ended.wait(60):
            raise Ended

    monkeypatch.setattr("raytrain.sweeps.single_worker.train_single_worker", hangs)
    Listener(monkeypatch, stop_after=1)
    with pytest.raises(Ended):
        run_single_worker(trial(base), {"CPU": 1.0}, "the sweep", "")


@pytest.mark.parametrize(
    ("change", "error"),
    [({"optim.lr": 1e30}, "NonFiniteError"), ({"optim.batch_size": 4096}, "UsageError: optim.batch_size=4096 is more")],
)
def test_an_error_that_a_restart_would_repeat_ends_the_trial_without_a_value(
    change: dict[str, Any], error: str, base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(monkeypatch)
    config = trial(base, **change)
    # raises nothing, which Tune would try again
    run_single_worker(config, {"CPU": 1.0}, "the sweep", Table(config.data.table).fingerprint)
    told = listener.heard[-1]
    assert told["done"] and math.isnan(told["best"])
    ledger = Ledger(base, "alone", SweepOptions(), Mirror(None))
    ended = SimpleNamespace(config={"number": 0, "changes": {}}, last_result=told)
    recorder(ledger).on_trial_complete(1, [], ended)
    assert ledger.recorded[0]["state"] == "failed"
    assert error in ledger.recorded[0]["error"]


def test_a_refusal_is_raised_for_it_ends_the_sweep(base: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch)
    config = trial(base)
    with pytest.raises(RefusedError, match="not the table that this began with"):
        run_single_worker(config, {"CPU": 1.0}, "the sweep", "another table")
    assert not listener.heard
    assert outcome(read_run(config.folder)) is None  # it goes on with the sweep


@pytest.mark.parametrize("damaged", [False, True])
def test_a_lost_process_goes_on_from_the_newest_whole_checkpoint(
    damaged: bool, base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(Exception):
        pass

    listener = Listener(monkeypatch)
    config = trial(base)
    monkeypatch.setattr(tune, "report", lambda metrics: (_ for _ in ()).throw(Lost))
    with pytest.raises(Lost):  # Tune tries it again
        run_single_worker(config, {"CPU": 1.0}, "the sweep", Table(config.data.table).fingerprint)
    monkeypatch.setattr(tune, "report", listener.report)
    if damaged:
        (checkpoint,) = config.folder.glob("checkpoint_*")
        flip(checkpoint / "state.pt")
    run_single_worker(config, {"CPU": 1.0}, "the sweep", Table(config.data.table).fingerprint)
    events = Journal(config.folder).read()
    assert [event["epoch"] for event in events if event["event"] == "resume"] == [0 if damaged else 1]
    apart = override(config, {"name": "apart"})
    train(apart)
    assert losses(config)[-3:] == losses(apart)
    assert outcome(read_run(config.folder)) is not None
