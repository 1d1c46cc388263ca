"""What a run's folder tells the process that drives it: how far it came, how good it was, how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.tracking.journal import Journal


@dataclass(frozen=True)
class Progress:
    """A run as its journal tells it.

    Args:
        uid: of the run; None before it started.
        epochs: done, over all its lives.
        best: running best of the selection metric; None before the first epoch.
        history: (epoch, running best) after each epoch.
        end: the "end" event, unless the run was started again after it.
        metrics: of the last epoch.
        best_metrics: of the best epoch, the earlier one of equals.
        resumed: how often it was started again.
    """

    uid: str | None
    epochs: int
    best: float | None
    history: list[tuple[int, float]]
    end: dict[str, Any] | None
    metrics: dict[str, float]
    best_metrics: dict[str, float]
    resumed: int

    @property
    def status(self) -> str | None:
        return self.end["status"] if self.end else None


def progress(folder: Path, select: str) -> Progress:
    """Read a run's journal.

    Args:
        select: the metric whose best epoch counts.
    """
    uid: str | None = None
    by_epoch: dict[int, dict[str, float]] = {}
    end: dict[str, Any] | None = None
    resumed = 0
    for event in Journal(folder).read():
        if event["event"] in ("start", "resume"):
            uid, end = event.get("uid", uid), None
            resumed += event["event"] == "resume"
        elif event["event"] == "epoch":
            # an epoch that was repeated after a restart counts once
            by_epoch[int(event["epoch"])] = event["metrics"]
        elif event["event"] == "end":
            end = event
    history: list[tuple[int, float]] = []
    best, best_metrics = -math.inf, dict[str, float]()
    for epoch in sorted(by_epoch):
        value = by_epoch[epoch].get(select)
        if value is not None and value > best:
            best, best_metrics = value, by_epoch[epoch]
        if math.isfinite(best):
            history.append((epoch, best))
    last = max(by_epoch, default=0)
    value = history[-1][1] if history else None
    return Progress(uid, last, value, history, end, by_epoch.get(last, {}), best_metrics, resumed)


def close(folder: Path, status: str, error: str | None = None) -> None:
    """Write the end of a run whose own process could not: it was stopped, or killed."""
    if not ended(folder):
        Journal(folder).write("end", status=status, error=error, metrics={})


def ended(folder: Path) -> bool:
    """Whether a run is over, for now; also of one that has not begun."""
    marks = (event["event"] for event in reversed(Journal(folder).read()))
    return next((mark == "end" for mark in marks if mark in ("start", "resume", "end")), True)
