"""Ask a run to write a checkpoint and stop at its next step: by SIGTERM, or by a file where it trains elsewhere."""

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
    """Ask the run of this folder to stop, on whichever host it trains."""
    with contextlib.suppress(OSError):  # the run has not started yet, or its disk is full
        (folder / NAME).touch()


def withdraw(folder: Path) -> None:
    """Take the request back, before a run that was asked to stop is resumed."""
    (folder / NAME).unlink(missing_ok=True)


class StopRequest(threading.Event):
    """An event that is set once the run was asked to stop: by `set`, or, on rank 0, by the file of `ask`.

    Args:
        folder: of the run; looked into at most every LOOK_EVERY_S seconds.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path, self.last_look = folder / NAME, -math.inf

    def is_set(self) -> bool:
        if not super().is_set() and rank() == 0 and (now := time.monotonic()) - self.last_look >= LOOK_EVERY_S:
            self.last_look = now
            if self.path.exists():
                self.set()
        return super().is_set()


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[StopRequest]:
    """The event that is set by SIGTERM to this process, or by `ask` for the run's folder."""
    request = StopRequest(folder)
    with on_sigterm(request.set):
        yield request


@contextlib.contextmanager
def on_sigterm(do: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM calls `do`. Outside the main thread (a Ray worker's loop) no handler can be installed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: do())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
