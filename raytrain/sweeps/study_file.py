"""Optuna's journal file, of whole lines even where a disk was full. At module level, as Tune pickles it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class WholeLines(JournalFileBackend):
    """Takes back what a full disk took of a line, which the next one would run into.

    Args:
        path: of the file; the sweep's lock keeps other writers away.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        size = self.path.stat().st_size
        try:
            super().append_logs(logs)
        except OSError:
            os.truncate(self.path, size)
            raise
