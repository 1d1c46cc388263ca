"""Plain lines: one per change, and none where nothing changed."""

from __future__ import annotations

from dataclasses import replace

from raytrain.review.watch.progress import Best, Failure, OpenRun, Progress
from raytrain.review.watch.words import changes, left, params_text, summary

BEFORE = Progress(
    "s", "/s", "sweep", "running", "val/rsum", total=4, done=1, states={"complete": 1, "running": 2},
    best=Best("s-t000", 10.0, {}, "complete"),
    running=[OpenRun("s-t001", 1, 3, 5.0, 5.0, 1.0), OpenRun("s-t002", 0, 3, None, None, 1.0)],
)  # fmt: skip


def test_the_first_line_sums_up_and_nothing_is_said_twice() -> None:
    assert changes(None, BEFORE) == ["s: running; 1 of 4 trials; 1 complete, 2 running; best val/rsum 10.00 (s-t000)"]
    assert changes(BEFORE, replace(BEFORE, age_s=50.0, left_s=3.0)) == []


def test_each_change_is_a_line() -> None:
    now = replace(
        BEFORE, done=2, states={"complete": 1, "failed": 1, "running": 2},
        running=[OpenRun("s-t002", 1, 3, 12.0, 12.0, 1.0), OpenRun("s-t003", 0, 3, None, None, 1.0)],
        failures=[Failure("s-t001", "NonFiniteError: \x1b[2J")], best=Best("s-t002", 12.0, {}, "running"),
    )  # fmt: skip
    assert changes(BEFORE, now) == [
        "s-t001 ended, failed: NonFiniteError: \\x1b[2J",
        "s-t002 epoch 1/3 val/rsum 12.00",
        "s-t003 trains, 0/3 done",
        "s: running; 2 of 4 trials; 1 complete, 1 failed, 2 running; best val/rsum 12.00 (s-t002)",
    ]


def test_a_driver_that_fell_silent_and_an_end_are_told() -> None:
    silent = replace(BEFORE, status="silent", last=0.0, age_s=150.0, resume="to go on: raytrain sweep dvse --resume /s")
    *_, since, way_on = changes(BEFORE, silent)
    assert "silent since" in since and "(2 min)" in since
    assert way_on == "if it was killed, to go on: raytrain sweep dvse --resume /s"
    failed = replace(BEFORE, status="failed", error="every trial failed", running=[])
    assert changes(BEFORE, failed)[-1] == "failed: every trial failed"


def test_time_left_is_about_and_says_what_it_leaves_out() -> None:
    assert left(replace(BEFORE, left_s=7200.0, budget="--hours 8", repeats=6)) == (
        "about 2.0 h left (--hours 8 may end it before), then 6 runs over seeds"
    )
    assert left(replace(BEFORE, left_unknown="not known before a trial has ended")) == (
        "time left not known before a trial has ended"
    )
    assert left(replace(BEFORE, done=4, repeats=6, repeats_done=2)) == "2 of 6 runs over seeds"
    assert params_text({"optim.lr": 0.00031239, "method.views": 4}) == "optim.lr=0.0003124 method.views=4"
    assert summary(replace(BEFORE, kind="run", total=3, per_hour=60.0)).endswith("60 epochs per hour")
