"""Following a run from its journal while it is trained: says its epochs, and mirrors it to MLflow."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from raytrain.background import Background
from raytrain.config import RunConfig
from raytrain.errors import Problem
from raytrain.progress import say
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.step_progress import read_step_progress

QUIET_S = 15.0
"""After so long without a line, it is said how far the run is within its epoch."""
NOT_BEGUN = "is being set up"


class Follower(Background):
    """Says a run's epochs while it is trained, and keeps its mirror up to date; a context manager.

    Args:
        config: of the run.
        tracking_uri: of the MLflow store; None mirrors nothing.
        interval_s: seconds between two looks at the journal.
        quiet_s: seconds without a line, after which one says how far the run is within its epoch.
    """

    def __init__(
        self, config: RunConfig, tracking_uri: str | None, interval_s: float = 0.5, quiet_s: float = QUIET_S
    ) -> None:
        super().__init__("follower", interval_s)
        self.config, self.quiet_s = config, quiet_s
        self.mirror = Mirror(tracking_uri)
        self._named: set[Problem] = set()
        self._seen = len(self._read())
        self._has_begun = False
        self._spoke, self._last_position = time.monotonic(), ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.look()
        self.mirror.due(self.config.folder)
        self.mirror.close()

    def _read(self) -> list[dict[str, Any]]:
        """The events so far; a damaged line is named once, and never ends a run."""
        skipped: list[Problem] = []
        events = Journal(self.config.folder).read(skipped)
        for problem in skipped:
            if problem not in self._named:
                self._named.add(problem)
                say(str(problem))
        return events

    def look(self) -> bool:
        events = self._read()
        for event in events[self._seen :]:
            say(describe(self.config, event), self.config.name, event)
            self._has_begun = True
        if len(events) > self._seen:
            self.mirror.due(self.config.folder)
            self._spoke = time.monotonic()
        elif time.monotonic() - self._spoke >= self.quiet_s:
            self._say_position()
        self._seen = len(events)
        return True

    def _say_position(self) -> None:
        """Say how far the run is within its epoch, or that it has not begun, where this is news."""
        position = position_of(self.config.folder) if self._has_begun else NOT_BEGUN
        if position and position != self._last_position:
            say(f"{time.strftime('%H:%M:%S')} {self.config.name} {position}", self.config.name)
            self._spoke, self._last_position = time.monotonic(), position


def position_of(folder: Path) -> str:
    """How far a run is within its epoch, in words; "" where nothing says so.

    Args:
        folder: of the run.
    """
    lives = [event for event in Journal(folder).read() if event["event"] in ("start", "resume", "end")]
    if not lives:
        return NOT_BEGUN
    progress = read_step_progress(folder, lives[-1].get("life"))
    return "" if progress is None else str(progress)


def describe(config: RunConfig, event: dict[str, object]) -> str:
    """A journal event as a line of text."""
    clock = time.strftime("%H:%M:%S", time.localtime(float(str(event["time"]))))
    line = f"{clock} {config.name} {event['event']}"
    metrics = event.get("metrics")
    if event["event"] == "epoch" and isinstance(metrics, dict):
        value = metrics.get(config.evaluation.select)
        shown = f"{value:.2f}" if isinstance(value, (int, float)) else "none"
        line = (
            f"{clock} {config.name} epoch {event['epoch']}/{config.optim.num_epochs} {config.evaluation.select} {shown}"
        )
    elif event["event"] == "resume":
        line += f" after epoch {event.get('epoch')}"
        left = event.get("left")
        if isinstance(left, dict) and left:
            whole = f"from {event['checkpoint']}" if event.get("checkpoint") else "from the beginning"
            line += f", {whole}; damaged and set aside: " + ", ".join(f"{name} ({why})" for name, why in left.items())
    elif event["event"] == "end":
        line += f": {event.get('status')}" + (f" ({event.get('error')})" if event.get("error") else "")
    return line
