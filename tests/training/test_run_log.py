"""The lines that a training process writes into the run's journal, and when it writes none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from raytrain.config import RunConfig
from raytrain.data.table import Table
from raytrain.errors import Interrupted, NonFiniteError, RaytrainError, Stopped
from raytrain.scoring.feed import open_feed
from raytrain.tracking.journal import Journal, has_writer
from raytrain.tracking.step_progress import StepProgressFile
from raytrain.training import checkpoint, run_log
from raytrain.training.build import build_method
from raytrain.training.memory import Estimate
from raytrain.training.run_log import RunLog
from raytrain.training.train_state import TrainState
from tests.runs import fit_here, tiny

CPU = torch.device("cpu")


@pytest.fixture
def config(table: Table, tmp_path: Path) -> RunConfig:
    return tiny(table, tmp_path)


@pytest.fixture
def state(config: RunConfig, table: Table) -> TrainState:
    return TrainState(config, build_method(config, open_feed(config, table)), CPU)


def start(log: RunLog, state: TrainState, saved: checkpoint.Checkpoint | None = None) -> None:
    memory, validation = None if saved else Estimate(1, 2), {"split": "val", "trained": None}
    log.start_or_resume(
        state,
        saved,
        parent="sweep",
        fingerprint="f",
        features={"lite0": "a" * 64},
        features_on="disk",
        validation=validation,
        memory=memory,
    )


def saved_epoch(state: TrainState, root: Path) -> checkpoint.Checkpoint:
    """The checkpoint after a first epoch of one step."""
    state.epoch, state.step = 1, 1
    path = state.save(root, "f", None, {"val/rsum": 12.0})
    assert path is not None
    return checkpoint.load(path)


def test_a_start_says_what_the_run_is_and_where_it_trains(config: RunConfig, state: TrainState) -> None:
    start(RunLog(config.folder), state)
    (event,) = Journal(config.folder).read()
    assert event["event"] == "start"
    assert (event["run"], event["experiment"], event["parent"], event["kind"]) == ("tiny", "default", "sweep", "run")
    assert (event["features"], event["features_verified"]) == ({"lite0": "a" * 64}, True)
    assert (event["fingerprint"], event["features_on"], event["workers"], event["seed"]) == ("f", "disk", 1, 0)
    assert event["device"].endswith("CPU")
    assert event["config"]["optim.lr"] == 1e-3
    assert event["parameters"] == sum(parameter.numel() for parameter in state.model.parameters())
    assert event["validation"] == {"split": "val", "trained": None}
    assert event["memory"] == {"needed_bytes": 1, "allowed_bytes": 2, "ran_out": False}
    assert {"torch", "python"} <= set(event["versions"])


def test_steps_are_told_by_the_life_that_the_journal_names(config: RunConfig, state: TrainState) -> None:
    log = RunLog(config.folder)
    start(log, state)
    file = log.steps(state, 9)
    assert isinstance(file, StepProgressFile)
    state.epoch, state.step_in_epoch = 2, 7
    (begun,) = Journal(config.folder).read()
    assert (file.life, file.steps, file.position()) == (begun["life"], 9, (2, 7))
    log.journal = None  # as on every rank but the first
    assert not isinstance(log.steps(state, 9), StepProgressFile)


def test_a_resumption_keeps_the_uid_and_has_a_life_of_its_own(
    config: RunConfig, state: TrainState, tmp_path: Path
) -> None:
    first, second = RunLog(config.folder), RunLog(config.folder)
    start(first, state)
    first.epoch(state, {"val/rsum": 1.0})
    saved = saved_epoch(state, tmp_path / "kept")
    start(second, state, saved)
    begun, _, resumed, *_ = Journal(config.folder).read()
    assert resumed["event"] == "resume"
    assert (resumed["uid"], resumed["epoch"], resumed["checkpoint"]) == (begun["uid"], 1, saved.path.name)
    assert begun["life"] == first.life != resumed["life"] == second.life


def test_an_epoch_whose_line_a_kill_prevented_is_written_on_resuming_and_only_once(
    config: RunConfig, state: TrainState, tmp_path: Path
) -> None:
    start(RunLog(config.folder), state)
    saved = saved_epoch(state, tmp_path / "kept")
    for _ in range(2):
        start(RunLog(config.folder), state, saved)
    events = Journal(config.folder).read()
    assert [event["event"] for event in events] == ["start", "resume", "epoch", "resume"]
    assert (events[2]["epoch"], events[2]["step"], events[2]["metrics"]) == (1, 1, {"val/rsum": 12.0})


def test_a_run_that_was_killed_between_checkpoint_and_line_tells_each_epoch_once(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    kept = tmp_path / "kept"
    fit_here(config, checkpoint_root=kept)
    journal = config.folder / "journal.jsonl"
    begun, first, *_ = journal.read_text().splitlines(keepends=True)
    journal.write_text(begun)  # the first checkpoint is complete, its line was never written
    fit_here(config, resume_from=checkpoint.complete(kept)[0])
    events = Journal(config.folder).read()
    assert [(e["event"], e.get("epoch")) for e in events][1:] == [
        ("resume", 1), ("epoch", 1), ("epoch", 2), ("end", None),
    ]  # fmt: skip
    assert events[2]["metrics"] == json.loads(first)["metrics"]


def test_a_checkpoint_inside_an_epoch_brings_no_line(config: RunConfig, state: TrainState, tmp_path: Path) -> None:
    start(RunLog(config.folder), state)
    path = state.save(tmp_path / "kept", "f", None)
    assert path is not None
    start(RunLog(config.folder), state, checkpoint.load(path))
    assert [event["event"] for event in Journal(config.folder).read()] == ["start", "resume"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Interrupted("asked to stop"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (NonFiniteError("nan"), "failed"),
        (SystemExit(1), "failed"),
        (Stopped("seen enough"), None),  # whoever stopped it writes the end
    ],
)
def test_the_end_says_what_ended_the_run(
    error: BaseException, status: str | None, config: RunConfig, state: TrainState
) -> None:
    log = RunLog(config.folder)
    start(log, state)
    with pytest.raises(type(error)), log.ending(state):
        raise error
    end = Journal(config.folder).last("end")
    assert (end and end["status"]) == status
    assert end is None or end["error"] == f"{type(error).__name__}: {error}"
    assert not has_writer(config.folder)


def test_a_run_that_ends_well_writes_its_best_value(config: RunConfig, state: TrainState) -> None:
    log = RunLog(config.folder)
    start(log, state)
    with log.ending(state):
        state.best = 41.5
        assert has_writer(config.folder)
    end = Journal(config.folder).last("end")
    assert end is not None
    assert (end["status"], end["error"], end["metrics"]) == ("finished", None, {"best": 41.5})
    assert not has_writer(config.folder)


def test_a_full_disk_does_not_hide_what_ended_the_run(
    config: RunConfig, state: TrainState, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(config.folder)
    start(log, state)

    def full(*given: object, **fields: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write", full)
    with pytest.raises(NonFiniteError), log.ending(state):
        raise NonFiniteError("nan")
    assert not has_writer(config.folder)


def test_another_life_of_the_run_silences_this_one(config: RunConfig, state: TrainState, tmp_path: Path) -> None:
    here, elsewhere = RunLog(config.folder), RunLog(config.folder)
    start(here, state)
    here.refuse_other_life()
    start(elsewhere, state, saved_epoch(state, tmp_path / "kept"))
    elsewhere.refuse_other_life()
    lines = Journal(config.folder).read()
    with pytest.raises(RaytrainError, match="another process has gone on with this run"), here.ending(state):
        here.refuse_other_life()
    assert Journal(config.folder).read() == lines  # no end of a run that trains elsewhere


def test_other_ranks_write_nothing(config: RunConfig, state: TrainState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "rank", lambda: 1)
    log = RunLog(config.folder)
    start(log, state)
    log.epoch(state, {})
    log.refuse_other_life()
    with log.ending(state):
        pass
    assert not config.folder.exists()
