"""The timeline of a sweep: lives of runs, lanes, idle slots, restarts and kills."""

from __future__ import annotations

import re
from pathlib import Path

from raytrain.review.charts.timeline import Life, in_lanes, lives_of, timeline
from tests.review.made_sweeps import end, epoch, resume, start


def test_a_life_that_was_cut_off_ends_with_its_last_line() -> None:
    events = [start(0), epoch(10, 1, 10.0), resume(50, 1), epoch(60, 2, 20.0), end(65, "finished")]
    assert lives_of("a", events) == [Life("a", 0, 10, "killed", 0), Life("a", 50, 65, "finished", 1)]


def test_a_kill_that_was_noticed_later_ends_with_the_last_line_before() -> None:
    assert lives_of("a", [start(0), epoch(10, 1, 10.0), end(500, "killed")]) == [Life("a", 0, 10, "killed", 0)]


def test_a_run_that_trains_has_an_open_life_and_one_that_waits_none() -> None:
    assert lives_of("a", [start(5), epoch(10, 1, 10.0)]) == [Life("a", 5, 10, "open", 0)]
    assert lives_of("a", []) == []


def test_a_life_takes_the_first_lane_that_is_free() -> None:
    lives = [Life("a", 0, 10, "finished", 0), Life("b", 5, 20, "pruned", 0), Life("c", 10, 15, "finished", 0)]
    assert [(lane, life.run) for lane, life in in_lanes(lives)] == [(0, "a"), (1, "b"), (0, "c")]


SWEEP = [
    start(0, workers=2) | {"kind": "sweep", "slots": 4},
    {"event": "room", "time": 50, "slots": 2},
    end(100, "finished"),
]
RUNS = {
    Path("s-t0"): [start(10), epoch(30, 1, 20.0), resume(40, 1), end(60, "finished")],
    Path("s-t1"): [start(10), end(45, "failed")],
}


def test_bars_lie_over_the_room_that_the_sweep_had() -> None:
    svg = timeline(SWEEP, RUNS)
    idle = [tuple(map(float, box)) for box in re.findall(r'<rect class="idle" x="([\d.]+)"[^>]*height="([\d.]+)"', svg)]
    assert len(idle) == 2 and idle[0][1] == 2 * idle[1][1]  # two trials at once, then one
    assert re.findall(r'<rect class="life (\w+)"[^>]*><title>(s-t\d)', svg) == [
        ("killed", "s-t0"), ("failed", "s-t1"), ("finished", "s-t0"),
    ]  # fmt: skip
    marks = re.findall(r'class="mark (\w+)"[^>]*><title>(.*?)<', svg)
    assert sorted(marks) == [
        ("failed", "s-t0: killed"), ("failed", "s-t1: failed"), ("resumed", "s-t0 was started again"),
    ]  # fmt: skip
    assert "2 runs in 2 slots over 0:01:40: 1 finished, 1 failed, 1 killed; 1 restarts" in svg


def test_a_journal_without_slots_takes_those_that_were_inferred() -> None:
    old = [start(0) | {"kind": "sweep"}, end(100, "finished")]
    assert timeline(old, RUNS, slots=3).count('class="idle"') == 1
    assert 'class="idle"' not in timeline(old, RUNS)
    assert 'class="idle"' not in timeline(None, RUNS)
    assert timeline(SWEEP, {}) == ""
