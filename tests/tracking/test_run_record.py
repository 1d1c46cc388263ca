"""What the journal of a run says: one reader for sweeps, reviews and checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import best_of, close_run, read_run, run_record
from tests.sweeps.small_sweep import write_run


def test_a_repeated_epoch_counts_once_and_forgets_an_end_that_was_resumed(tmp_path: Path) -> None:
    write_run(tmp_path, [5.0, 9.0], "killed")
    journal = Journal(tmp_path)
    journal.write("resume", uid="x", epoch=1)
    journal.write("epoch", epoch=2, step=2, metrics={"val/rsum": 8.0})
    journal.write("epoch", epoch=3, step=3, metrics={"val/rsum": 6.0})
    run = read_run(tmp_path)
    assert (run.epochs, run.best, run.end, run.resumed) == (3, 8.0, None, 1)
    assert run.history == [(1, 5.0), (2, 8.0), (3, 8.0)]
    assert run.best_metrics == {"val/rsum": 8.0}


def test_closing_an_ended_run_changes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, [1.0], "finished")
    close_run(tmp_path, "pruned")
    assert read_run(tmp_path).status == "finished"


def test_the_best_epoch_is_the_highest_and_the_earlier_of_equals(tmp_path: Path) -> None:
    write_run(tmp_path, [10.0, 30.0, 30.0, 20.0], "finished")
    run = read_run(tmp_path)
    assert (run.best_epoch, run.best, run.best_step) == (2, 30.0, 2)
    assert run.metrics["val/rsum"] == 20.0
    assert run.history == [(1, 10.0), (2, 30.0), (3, 30.0), (4, 30.0)]


def test_the_config_says_which_metric_selects(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("start", uid="u", config={"evaluation.select": "val/recall_at_10"})
    for epoch, (recall, rsum) in enumerate([(4.0, 1.0), (2.0, 9.0)], 1):
        journal.write("epoch", epoch=epoch, step=5 * epoch, metrics={"val/recall_at_10": recall, "val/rsum": rsum})
    run = read_run(tmp_path)
    assert (run.select, run.best_epoch, run.best, run.best_step) == ("val/recall_at_10", 1, 4.0, 5)


def test_an_epoch_whose_value_was_no_number_is_not_the_best(tmp_path: Path) -> None:
    write_run(tmp_path, [math.nan, 3.0, math.nan], None)
    run = read_run(tmp_path)
    assert (run.epochs, run.best_epoch, run.history) == (3, 2, [(2, 3.0), (3, 3.0)])
    write_run(tmp_path / "never", [math.nan], "finished")
    never = read_run(tmp_path / "never")
    assert (never.epochs, never.best, never.best_metrics, never.best_step) == (1, None, {}, None)


def test_a_run_that_has_not_begun_is_neither_open_nor_ended(tmp_path: Path) -> None:
    run = read_run(tmp_path / "nothing")
    assert (run.uid, run.start, run.epochs, run.best, run.metrics) == (None, {}, 0, None, {})
    assert (run.is_open, run.status, run.error) == (False, None, None)
    close_run(tmp_path / "nothing", "killed")
    assert not (tmp_path / "nothing").exists()


def test_a_run_is_open_from_its_start_to_its_end_and_again_once_it_is_resumed(tmp_path: Path) -> None:
    write_run(tmp_path, [1.0], None)
    assert read_run(tmp_path).is_open
    close_run(tmp_path, "killed", "the driver was killed")
    run = read_run(tmp_path)
    assert (run.is_open, run.status, run.error) == (False, "killed", "the driver was killed")
    Journal(tmp_path).write("resume", uid=run.uid, epoch=1)
    assert (read_run(tmp_path).is_open, read_run(tmp_path).resumed) == (True, 1)


def test_evaluations_after_the_end_leave_it_an_end(tmp_path: Path) -> None:
    write_run(tmp_path, [1.0], "finished")
    Journal(tmp_path).write("evaluation", split="test", metrics={}, protocol="split/test")
    assert read_run(tmp_path).status == "finished"
    events = Journal(tmp_path).read()
    assert run_record(tmp_path, events) == read_run(tmp_path)


@pytest.mark.parametrize(
    ("values", "key"),
    [({}, None), ({"a": None}, None), ({"a": 1.0, "b": 2.0, "c": 2.0}, "b"), ({"a": math.nan, "b": -5.0}, "b")],
)
def test_the_best_is_the_first_of_the_highest_numbers(values: dict[str, float | None], key: str | None) -> None:
    assert best_of(values.items()) == key
