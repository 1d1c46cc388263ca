"""Asking a run to stop at its next step, with a checkpoint: by SIGTERM, or by a file where it trains elsewhere."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from raytrain.distributed import rank

NAME = "stop"
LOOK_EVERY_S = 0.25


def ask(folder: Path) -> None:
    """The run of this folder stops soon, on whichever host it trains."""
    with contextlib.suppress(OSError):  # not begun yet, or a full disk
        (folder / NAME).touch()


def withdraw(folder: Path) -> None:
    """Before a run goes on that was asked to stop."""
    (folder / NAME).unlink(missing_ok=True)


class StopRequest(threading.Event):
    """Set once the run was asked to stop: by whoever sets it, or, on rank 0, by `ask`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path, self.looked = folder / NAME, -math.inf

    def is_set(self) -> bool:
        if not super().is_set() and rank() == 0 and (now := time.monotonic()) - self.looked >= LOOK_EVERY_S:
            self.looked = now
            if self.path.exists():
                self.set()
        return super().is_set()


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[StopRequest]:
    """The event of a run that is asked to stop by its folder, or by SIGTERM to this process."""
    asked = StopRequest(folder)
    with on_sigterm(asked.set):
        yield asked


@contextlib.contextmanager
def on_sigterm(do: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM does this; outside the main thread (a Ray worker's loop) nothing is installed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: do())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
