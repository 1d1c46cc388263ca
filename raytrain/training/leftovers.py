"""Parts of checkpoints that killed writers left in a run's folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

PART = ".part_"
"""Begins the name under which a checkpoint is written."""
PART_LEFT_S = 3600.0
"""Where files cannot be locked, a part is a leftover once nothing in it has changed for so long."""


def sweep_leftovers(folder: Path) -> list[Path]:
    """Remove the parts of checkpoints whose writers were killed, and return them; those of live writers stay."""
    removed = []
    for part in folder.glob(f"{PART}*"):
        try:
            handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # its writer has renamed it, or it is none
            continue
        try:
            mine = try_lock(handle)
            if mine or (mine is None and _unchanged_s(part) > PART_LEFT_S):
                shutil.rmtree(part, ignore_errors=True)
                removed.append(part)
        finally:
            os.close(handle)
    return removed


def try_lock(handle: int) -> bool | None:
    """Lock an open folder: whether it is locked now, False where another process holds it, None without locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _unchanged_s(part: Path) -> float:
    """Seconds since anything in a folder of files was written."""
    times = [path.lstat().st_mtime for path in (part, *part.iterdir())]
    return time.time() - max(times)
