"""Follows a run from its journal while others train it: prints its epochs, and mirrors it to MLflow."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from raytrain.config import RunConfig
from raytrain.tracking.journal import Journal


def say(line: str) -> None:
    """A line of progress, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)


class Syncer:
    """Mirrors run folders to MLflow from a thread of its own, so that nobody waits for the tracker.

    The journal is the truth: a folder that could not be mirrored is named once, and `raytrain track sync` makes up
    for it.
    """

    def __init__(self, tracking_uri: str | None) -> None:
        self.uri = tracking_uri
        self._due: dict[Path, None] = {}
        self._wake = threading.Condition()
        self._closing = False
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        if tracking_uri:
            self._thread.start()

    def due(self, folder: Path) -> None:
        """Mirror a folder soon; asking twice before it happened does it once."""
        if self.uri:
            with self._wake:
                self._due[folder] = None
                self._wake.notify()

    def close(self, timeout_s: float = 60.0) -> None:
        """Mirror what is still due, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._due and not self._closing:
                    self._wake.wait()
                if not self._due:
                    return
                folder = next(iter(self._due))
                del self._due[folder]
            self._mirror(folder)

    def _mirror(self, folder: Path) -> None:
        from raytrain.tracking import mlflow

        assert self.uri
        try:
            mlflow.sync(folder, self.uri)
        except Exception as error:  # the tracker's troubles must not end a training
            if not self._warned:
                say(f"MLflow at {self.uri} does not take {folder.name}: {error}. Later: raytrain track sync")
            self._warned = True


class Follower:
    """Prints a run's epochs while it trains elsewhere, and keeps its mirror up to date; a context manager."""

    def __init__(self, config: RunConfig, tracking_uri: str | None, interval_s: float = 0.5) -> None:
        self.config, self.interval_s = config, interval_s
        self.syncer = Syncer(tracking_uri)
        self._seen = len(Journal(config.folder).read())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="follower", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10.0)
        self._look()
        self.syncer.due(self.config.folder)
        self.syncer.close()

    def _work(self) -> None:
        while not self._stop.wait(self.interval_s):
            self._look()

    def _look(self) -> None:
        events = Journal(self.config.folder).read()
        for event in events[self._seen :]:
            say(describe(self.config, event))
        if len(events) > self._seen:
            self.syncer.due(self.config.folder)
        self._seen = len(events)


def describe(config: RunConfig, event: dict[str, object]) -> str:
    """A journal event as a line."""
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
    elif event["event"] == "end":
        line += f": {event.get('status')}" + (f" ({event.get('error')})" if event.get("error") else "")
    return line
