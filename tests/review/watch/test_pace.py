"""Rates and times left, computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.review.watch.journals import RunJournal
from raytrain.review.watch.pace import pace_of_run, pace_of_sweep, seconds_per_epoch
from raytrain.tracking.run_record import run_record
from tests.review.made_sweeps import resume, start
from tests.review.watch.open_sweeps import CONFIG, sweep_events, trial, value

RECORDED = sweep_events()[1:]


def run(began: float, *epoch_times: float) -> RunJournal:
    """A run of ten epochs."""
    events = [start(began, config=CONFIG), *(value(time, number, 1.0) for number, time in enumerate(epoch_times, 1))]
    return RunJournal(run_record(Path("run"), events), began, events[-1]["time"], 10)


def test_a_trial_that_trains_counts_by_its_epochs() -> None:
    """Ended trials had 10 and 5 epochs, 7.5 on average: three of them and 3 / 7.5 of one in 400 s."""
    pace = pace_of_sweep(RECORDED, [run(1200, 1250, 1300, 1350), run(1390)], total=8, began=1000, now=1400)
    assert pace.per_hour == pytest.approx(3.4 / 400 * 3600)
    assert pace.left_s == pytest.approx((5 - 0.4) / (3.4 / 400))


def test_a_resumed_driver_has_a_pace_of_its_own() -> None:
    """Before 1300 s it was another one: since then a trial has ended, and another trained an epoch."""
    recorded = [*RECORDED, trial(1350, 3, "complete", 1.0)]
    pace = pace_of_sweep(recorded, [run(1200, 1250, 1320)], total=8, began=1300, now=1400)
    mean = (10 + 5 + 10) / 3
    assert pace.per_hour == pytest.approx((1 + 1 / mean) / 100 * 3600)
    assert pace.left_s == pytest.approx((4 - 2 / mean) / ((1 + 1 / mean) / 100))


def test_where_no_trial_is_left_to_start_the_slowest_goes_on_at_its_own_pace() -> None:
    """Seven epochs of 50 s are left, of which 50 s have gone by; the other one needs less."""
    pace = pace_of_sweep(RECORDED, [run(1200, 1250, 1300, 1350), run(1300, 1310)], total=5, began=1000, now=1400)
    assert pace.left_s == pytest.approx(max(7 * 50 - 50, 9 * 10 - 90))


def test_what_is_not_known_says_why() -> None:
    assert pace_of_sweep([], [run(1000, 1100)], 8, 1000, 1400).unknown == "not known before a trial has ended"
    assert pace_of_sweep(RECORDED, [], 8, 1300, 1400).per_hour is None  # all ended before the driver started
    unknown = pace_of_sweep(RECORDED, [], None, 1000, 1400)
    assert unknown.per_hour == pytest.approx(27.0) and unknown.left_s is None and "how many trials" in unknown.unknown
    assert pace_of_sweep(RECORDED, [], 3, 1000, 1400).unknown == "all trials have ended"
    assert pace_of_run(run(1000), 1400).unknown == "not known before the first epoch"


def test_a_run_goes_on_at_the_pace_of_its_present_life() -> None:
    events = [start(0, config=CONFIG), value(500, 1, 1.0), resume(1000, 1), value(1020, 2, 1.0), value(1040, 3, 1.0)]
    resumed = RunJournal(run_record(Path("run"), events), 1000.0, 1040.0, 10)
    assert seconds_per_epoch(resumed) == pytest.approx(20.0)
    pace = pace_of_run(resumed, now=1050)
    assert (pace.per_hour, pace.left_s) == (pytest.approx(180.0), pytest.approx(7 * 20 - 10))
