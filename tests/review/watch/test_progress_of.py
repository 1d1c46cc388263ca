"""The progress of sweeps and runs, from journals that were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.files import write_json
from raytrain.review.watch.journals import JournalsReader
from raytrain.review.watch.progress import Best, Failure, OpenRun, Progress
from raytrain.review.watch.progress_of import progress_of
from raytrain.tracking.sweep_record import SearchIdentity
from tests.review.made_sweeps import end, resume, start, write
from tests.review.watch.open_sweeps import CONFIG, NOW, open_sweep, sweep_events, trial, value


def read(folder: Path, now: float = NOW) -> Progress:
    return progress_of(JournalsReader(folder).look(now), now)


def written(folder: Path, *events: dict[str, Any], now: float = NOW) -> Progress:
    write(folder, [*sweep_events(), *events])
    return read(folder, now)


def test_a_sweep_part_of_the_way(tmp_path: Path) -> None:
    open_sweep(tmp_path, hours=8, gpu_hours=None)
    SearchIdentity(space={"optim.lr": {}, "method.views": {}}, base={}, data="d", search={}).write(tmp_path / "s")
    progress = read(tmp_path / "s")
    assert (progress.status, progress.metric, progress.done, progress.total) == ("running", "val/rsum", 3, 8)
    assert progress.states == {"complete": 1, "pruned": 1, "failed": 1, "running": 2, "interrupted": 0}
    assert progress.best == Best("s-t003", 310.0, {"optim.lr": 0.5, "method.views": 4}, "running")
    assert progress.running == [
        OpenRun("s-t003", 3, 10, 305.0, 310.0, 50.0),
        OpenRun("s-t004", 0, 10, None, None, 10.0),
    ]
    assert progress.failures == [Failure("s-t002", "NonFiniteError: step 3: loss is nan")]
    assert (progress.slots, progress.slots_busy, progress.age_s) == (6, 4, 10.0)
    assert progress.per_hour == pytest.approx(3.4 / 400 * 3600) and progress.left_s is not None
    assert progress.budget == "--hours 8" and progress.resume is None and not progress.has_ended


def test_a_position_is_shown_in_the_epoch_that_it_is_of(tmp_path: Path) -> None:
    write(tmp_path / "r", [start(1000, life="a", config=CONFIG), value(1100, 1, 5.0)])
    for epochs, expected in ((1, (4, 9)), (0, (0, 0))):  # the line of epoch 1 is newer than the second position
        write_json(tmp_path / "r" / "progress.json", {"life": "a", "epochs": epochs, "step": 4, "steps": 9})
        (run,) = read(tmp_path / "r").running
        assert (run.epoch, run.step, run.steps) == (1, *expected)


def test_a_driver_that_is_gone_is_silent_and_the_way_on_is_named(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    progress = read(tmp_path / "s", now=1390 + 121)
    assert (progress.status, progress.left_s, progress.per_hour, progress.slots_busy) == ("silent", None, None, 0)
    assert progress.resume == f"to go on: raytrain sweep dvse --resume {tmp_path / 's'}" and not progress.has_ended
    assert read(tmp_path / "s", now=1390 + 119).status == "running"


def test_a_resumption_sets_the_number_of_trials_and_the_room(tmp_path: Path) -> None:
    going_on = {**resume(1300, 0), "slots": 2, "trials": 12}
    progress = written(tmp_path / "s", {**end(1250, "interrupted"), "error": "SIGTERM"}, going_on)
    assert (progress.status, progress.total, progress.slots, progress.error) == ("running", 12, 2, None)


def test_an_end_is_the_status_and_what_it_chose_is_the_best(tmp_path: Path) -> None:
    chosen = {"run": "s-t001", "params": {"optim.lr": 0.1}, "value": 200.0, "val": {}}
    finished = written(tmp_path / "s", {**end(1300, "finished"), "best": chosen})
    assert finished.has_ended and finished.status == "finished" and finished.resume is None
    assert finished.best == Best("s-t001", 200.0, {"optim.lr": 0.1}, "chosen")
    write(tmp_path / "s-t003", [start(1200, parent="u", config=CONFIG), value(1250, 1, 250.0)])
    (tmp_path / "t").mkdir()
    interrupted = written(tmp_path / "t" / "s", end(1300, "interrupted"))
    write(tmp_path / "t" / "s-t003", [start(1200, parent="u", config=CONFIG), value(1250, 1, 250.0)])
    interrupted = read(tmp_path / "t" / "s")
    assert interrupted.has_ended and interrupted.states["interrupted"] == 1 and not interrupted.running
    assert "--resume" in str(interrupted.resume)


def test_runs_that_ended_before_the_sweep_has_recorded_them_count_as_what_they_are(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    run = {"parent": "u", "config": CONFIG}
    failed = {**end(1395, "failed"), "error": "OutOfMemory: it held 9 GiB"}
    for number, last in ((5, end(1390, "finished")), (6, end(1390, "killed")), (7, failed)):
        write(tmp_path / f"s-t{number:03d}", [start(1200, **run), value(1380, 1, 100.0), last])
    progress = read(tmp_path / "s")
    assert progress.states == {"complete": 2, "pruned": 1, "failed": 2, "running": 2, "interrupted": 1}
    assert progress.done == 3
    assert progress.failures[-1] == Failure("s-t007", "OutOfMemory: it held 9 GiB")


def test_runs_over_seeds_are_no_trials(tmp_path: Path) -> None:
    write(tmp_path / "s", [*sweep_events(trials=3, repeat_best=1, repeat_seeds=2)])
    run = {"parent": "u", "config": CONFIG}
    write(tmp_path / "s-t000-s1", [start(1210, **run), value(1290, 10, 999.0), end(1300, "finished")])
    write(tmp_path / "s-t000-s2", [start(1310, **run)])
    progress = read(tmp_path / "s")
    assert (progress.repeats, progress.repeats_done, [r.run for r in progress.running]) == (2, 1, ["s-t000-s2"])
    assert progress.best is not None and progress.best.run == "s-t000" and sum(progress.states.values()) == 3


def test_a_run_outside_a_sweep(tmp_path: Path) -> None:
    write(tmp_path / "run", [start(1000, config=CONFIG), value(1100, 1, 5.0), value(1200, 2, 4.0)])
    progress = read(tmp_path / "run", now=1210)
    assert (progress.kind, progress.done, progress.total, progress.left_s) == ("run", 2, 10, 8 * 100 - 10)
    assert progress.best == Best("run", 5.0, {}, "epoch 1")
    write(tmp_path / "done", [start(1000, config=CONFIG), value(1100, 1, 5.0), end(1100, "finished")])
    assert read(tmp_path / "done").has_ended


def test_a_sweep_that_has_written_nothing_yet_is_starting(tmp_path: Path) -> None:
    SearchIdentity(space={}, base={}, data="d", search={}).write(tmp_path)
    progress = read(tmp_path)
    assert (progress.kind, progress.status, progress.best, progress.total) == ("sweep", "starting", None, None)


def test_a_journal_of_an_earlier_version_says_less_and_is_shown(tmp_path: Path) -> None:
    write(tmp_path / "s", [{"event": "start", "time": 1000, "kind": "sweep"}, trial(1390, 0, "complete", 1.0)])
    progress = read(tmp_path / "s")
    assert (progress.total, progress.slots, progress.metric, progress.status) == (None, None, "value", "running")
    assert "how many trials" in progress.left_unknown
    assert "raytrain sweep SPACE --resume" in str(read(tmp_path / "s", now=9999).resume)
