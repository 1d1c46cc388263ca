"""Optuna's journal file, kept to whole lines even where the disk is full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class WholeLines(JournalFileBackend):
    """Removes the part of a line that was written before the disk was full; the next line would be appended to it.

    At module level, since Tune pickles the study's storage.

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
