"""Progress lines: when they come, and what they say."""

from __future__ import annotations

import pytest

from raytrain.data import progress
from raytrain.data.progress import Progress, duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose time is its only element."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_comes_after_some_seconds_and_at_the_end(clock: list[float]) -> None:
    lines: list[str] = []
    count = Progress("lite0", 4000, "images", lines.append, every_s=5.0)
    for seconds, images in ((101.0, 500), (105.0, 500), (109.0, 1000), (110.0, 2000)):
        clock[0] = seconds
        count.add(images)
    assert lines == [
        "lite0: 1,000/4,000 images, 200/s, about 15 s left",
        "lite0: 4,000/4,000 images, 400/s, in 10 s",
    ]


def test_what_an_earlier_run_did_counts_as_done_but_not_for_the_rate(clock: list[float]) -> None:
    lines: list[str] = []
    count = Progress("lite0", 1000, "images", lines.append, before=800)
    clock[0] = 110.0
    count.add(100)
    assert lines == ["lite0: 900/1,000 images, 10/s, about 10 s left"]
    assert (count.rate, count.seconds) == (10.0, 10.0)


def test_without_a_receiver_only_counts_are_kept(clock: list[float]) -> None:
    count = Progress("x", 2, "rows", None)
    clock[0] = 102.0
    count.add(2)
    assert (count.done, count.rate) == (2, 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (27_000, "7.5 h"),
     (172_799, "48.0 h"), (1_062_720, "12.3 days")],
)  # fmt: skip
def test_durations_are_given_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert duration(seconds) == text
