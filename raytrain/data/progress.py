"""Progress lines of long passes over data, one every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from raytrain.progress import say as say_aloud

Say = Callable[[str], None]


class Progress:
    """Counts units and reports done / total, the rate and the remaining time.

    Args:
        what: what is being done, in a word or two ("lite0").
        total: number of units.
        unit: what a unit is, in the plural ("images").
        say: receives each line; None is silent.
        every_s: least time between two lines.
        before: units done by an earlier run; they count as done but not towards the rate.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        say: Say | None = say_aloud,
        every_s: float = 5.0,
        before: int = 0,
    ) -> None:
        self.what, self.total, self.unit, self.say, self.every_s = what, total, unit, say, every_s
        self.done = self.before = before
        self.started = self.last = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Units per second since the start, without those of an earlier run."""
        return (self.done - self.before) / max(self.seconds, 1e-9)

    def add(self, count: int) -> None:
        """Count `count` more units done."""
        self.done += count
        now = time.monotonic()
        if self.say is None or (now - self.last < self.every_s and self.done < self.total):
            return
        self.last = now
        left_s = (self.total - self.done) / max(self.rate, 1e-9)
        end = f"in {duration(self.seconds)}" if self.done >= self.total else f"about {duration(left_s)} left"
        self.say(f"{self.what}: {self.done:,}/{self.total:,} {self.unit}, {self.rate:,.0f}/s, {end}")


def duration(seconds: float) -> str:
    """Seconds for people: "48 s", "35 min", "7.5 h", "12.3 days"."""
    for length, unit in ((86_400, "days"), (3600, "h")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
