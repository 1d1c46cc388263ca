"""A rank that hangs ends itself, since the others wait for it in a collective for ever and nobody else would notice.

Ends are seen by whoever started the ranks: Ray Train starts the group again from its last checkpoint, torchrun ends the
others. The stacks of all threads are left in the run's folder, and say where each rank stood.
"""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

from raytrain.errors import UsageError

TIMEOUT = "RAYTRAIN_HANG_TIMEOUT_S"
"""Environment variable: seconds without a finished step, validation or checkpoint; 0 turns the watchdog off."""
DEFAULT_S = 3600.0


class Watchdog:
    """Ends this process with code 1 unless `beat` is called every so often, while the context is open.

    Args:
        folder: of the run, where `stacks-rank0.txt` is written if it comes to that.
        rank: of this process.
        timeout_s: None reads the environment.

    Raises:
        UsageError: an environment variable that is no number of seconds.
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
        """This rank has come further."""
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
