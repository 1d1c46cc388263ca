"""Ends a rank that hangs: the other ranks would wait for it in a collective for ever, and nobody would notice.

Whoever started the ranks sees that one ended: Ray Train restarts the group from its last checkpoint, torchrun ends the
other ranks. The stacks of all threads are left in the run's folder and show where each rank stood.
"""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

from raytrain.errors import UsageError

TIMEOUT = "RAYTRAIN_HANG_TIMEOUT_S"
"""Environment variable: seconds that a rank may take for a step, a validation or a checkpoint; 0: for ever."""
DEFAULT_S = 3600.0


class Watchdog:
    """While the context is open, ends this process with code 1 when `beat` was not called for `timeout_s`.

    Args:
        folder: of the run; the stacks are written to its `stacks-rank<rank>.txt`.
        rank: of this process.
        timeout_s: seconds between two beats; 0 turns the watchdog off, None reads RAYTRAIN_HANG_TIMEOUT_S.

    Raises:
        UsageError: the environment variable is no number of seconds.
    """

    def __init__(self, folder: Path, rank: int, timeout_s: float | None = None) -> None:
        self.path = folder / f"stacks-rank{rank}.txt"
        self.timeout_s = _from_environment() if timeout_s is None else timeout_s

    def __enter__(self) -> Watchdog:
        if self.timeout_s:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "a", encoding="utf-8")
        self.beat()
        return self

    def beat(self) -> None:
        """This rank has made progress: start the timeout again."""
        if self.timeout_s:
            faulthandler.dump_traceback_later(self.timeout_s, exit=True, file=self.file)

    def __exit__(self, *error: object) -> None:
        if self.timeout_s:
            faulthandler.cancel_dump_traceback_later()
            self.file.close()
            if not self.path.stat().st_size:
                self.path.unlink()


def _from_environment() -> float:
    text = os.environ.get(TIMEOUT, str(DEFAULT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageError(f"{TIMEOUT}={text} is no number of seconds; 0 turns the watchdog off")
    return seconds
