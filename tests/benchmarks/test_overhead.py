"""What the benchmarks of start-up and packing make of journals, on cases that can be worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.overhead import timings_of
from benchmarks.packing import compare


def run(start: float, end: float, status: str = "finished") -> list[dict[str, object]]:
    return [
        {"event": "start", "time": start},
        {"event": "epoch", "time": (start + end) / 2},
        {"event": "end", "time": end, "status": status},
    ]


def test_gaps_are_of_the_slot_that_was_freed_first() -> None:
    """Two slots from second 100 on: 10-40 and 12-30, then 33-63 after the second's 3 s, then 45-75 after 5 s."""
    journals = [run(110, 140), run(112, 130), run(133, 163), run(145, 175)]
    result = timings_of(journals, began=100, ended=180, slots=2)  # type: ignore[arg-type]
    assert result.first_s == 10
    assert result.gaps_s == [3, 5]
    assert result.trained_s == 30 + 18 + 30 + 30
    assert result.ratio == pytest.approx(108 / 160)


def test_packing_is_the_time_apart_against_the_time_together() -> None:
    alone = [run(0, 10), run(50, 62)]
    together = [run(100, 115), run(101, 116, "failed")]
    result = compare(alone, together)  # type: ignore[arg-type]
    assert result.ratio == pytest.approx(22 / 16)
    assert result.lost == ["3"]
