"""A run's own record: journal.jsonl in the run's folder, one JSON object per line, only ever appended to.

Events, each with "event" and "time" (seconds since 1970, UTC):

    start       uid, life (of a run: new whenever it goes on), kind ("run" | "sweep"), run, experiment, parent (uid of
                the sweep or None), config (flat), commit, fingerprint, seed, workers, device, versions; of a sweep
                also options, slots and ray; of a trial that shares a GPU memory: needed_bytes (estimated),
                allowed_bytes, ran_out; of a run also validation: split, queries and gallery (sizes), trained (what of
                it is trained on, in words, or None)
    resume      uid, life, epoch (epochs already done), checkpoint; of a sweep also slots and ray
    epoch       epoch (1-based, epochs done), step, metrics {"train/loss": ..., "val/rsum": ..., "cost/..." ...}
    evaluation  split, protocol, metrics, file, digest (of the file's content), test_openings; on test also opening: its
                id, test (hash of the test rows), weights (hash), uid
    rerank      metrics, params, kind ("rerank" over the queries, "inductive" over a bank of training queries), files
                {name of an evaluation file: its digest}
    room        (sweeps) slots: workers that fit the cluster from now on, after nodes came or went
    trial       (sweeps) number, run, params, state ("complete" | "pruned" | "failed"), value, epochs
    cost        metrics, currency, prices_date: what it took, as `review.accounting` computes it from the lines above
    end         status ("finished" | "pruned" | "failed" | "interrupted" | "killed"), error, metrics
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

NAME = "journal.jsonl"


class Journal:
    """Appends to a run's journal; a line is on disk when `write` returns.

    From its first line on, a writer holds a shared lock on the file until it is closed. The kernel releases the lock
    however the process ends, so that `has_writer` distinguishes a run that trains slowly from one that was killed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / NAME
        self._lock: BinaryIO | None = None

    def write(self, event: str, **fields: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"event": event, "time": round(time.time(), 3), **_plain(fields)}, ensure_ascii=False)
        with open(self.path, "ab") as file:
            # a writer that was killed within a line leaves no newline: end that line, so that no other one is lost
            if file.tell() and not _ends_with_newline(self.path):
                file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if self._lock is None:
            self._lock = open(self.path, "rb")  # noqa: SIM115 - held on purpose, see above
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def close(self) -> None:
        """Release the lock: this writer is done."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self) -> list[dict[str, Any]]:
        """The events of all complete lines; a line that a killed writer left torn is skipped."""
        if not self.path.exists():
            return []
        events = []
        for line in self.path.read_bytes().split(b"\n"):
            try:
                event = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError):
                continue
            if isinstance(event, dict) and "event" in event:
                events.append(event)
        return events

    def is_of(self, life: str) -> bool:
        """Whether the run's last start or resumption is that of this life; a life that was replaced writes no more."""
        lives = [entry for entry in self.read() if entry["event"] in ("start", "resume")]
        return bool(lives) and lives[-1].get("life") == life

    def last(self, event: str) -> dict[str, Any] | None:
        """The last event of this kind; None where there is none."""
        return next((entry for entry in reversed(self.read()) if entry["event"] == event), None)


def run_folders(storage: str | os.PathLike[str], experiment: str | None = None) -> list[Path]:
    """Folders of all runs and sweeps of an experiment (None: of all experiments) that have a journal, by name."""
    root = Path(storage).expanduser().resolve()
    return sorted(path.parent for path in root.glob(f"{experiment or '*'}/*/{NAME}"))


def has_writer(folder: str | os.PathLike[str]) -> bool:
    """Whether a process that wrote to this run's journal is still alive, and can write more."""
    try:
        with open(Path(folder) / NAME, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _plain(value: Any) -> Any:
    """JSON has no NaN: such numbers are written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
