"""A run's own record: journal.jsonl in the run's folder, one JSON object per line, only ever appended to.

Events, each with "event" and "time" (seconds since 1970, UTC):

    start       uid, life (of a run: new whenever it goes on), kind ("run" | "sweep"), run, experiment, parent (uid of
                the sweep or None), config (flat), commit, user (of the system), fingerprint, seed, workers, device,
                versions; of a sweep also options, space, slots and ray; of a trial that shares a GPU memory:
                needed_bytes (estimated), allowed_bytes, ran_out; of a run also validation: split, queries and gallery
                (sizes), trained (what of it is trained on, in words, or None); of a run that starts with another's
                weights origin: run, uid, checkpoint, epoch, step, fingerprint, sha256 (of the weights); of the mean of
                other runs ensemble: scale, members (raytrain/tracking/ensemble_record.py)
    resume      uid, life, epoch (epochs already done), checkpoint, left ({newer checkpoint: why it cannot be read});
                of a sweep also slots, ray and trials (their number from now on)
    epoch       epoch (1-based, epochs done), step, metrics {"train/loss": ..., "val/rsum": ..., "cost/..." ...}
    evaluation  split, protocol, metrics, headline (name of the metric to show), intervals {metric: [low, high]},
                interval_level, file, digest (of the file's content), test_openings; on test also opening: its id, test
                (hash of the test rows), weights (hash), uid
    rerank      metrics, params, kind ("rerank" over the queries, "inductive" over a bank of training queries), files
                {name of an evaluation file: its digest}, held_out {metric: what it gains on queries not seen}
    repeat      (sweeps) number, run, values, mean, std, cost: a trial trained again with further seeds
    room        (sweeps) slots: workers that fit the cluster from now on, after nodes came or went
    trial       (sweeps) number, run, params, state ("complete" | "pruned" | "failed"), value, epochs
    cost        metrics, currency, prices_date: what it took, as `review.accounting` computes it from the lines above
    report      file: a page on the run or sweep, in its folder
    end         status ("finished" | "pruned" | "failed" | "interrupted" | "killed"), error, metrics

raytrain/tracking/events.py holds the types of the fields that are read. A line that is no such event is left out, and
every reader of many runs names it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from raytrain.errors import Problem, UsageError, argument, no_such_name
from raytrain.files import is_locked, parse_json, read_regular
from raytrain.tracking.events import why_no_event

NAME = "journal.jsonl"
LINE_FIX = "The line is left out; the other lines count."
CUT_SHORT = "cut short: its writer was killed"
UNREADABLE_FIX = "The run is left out; restore the file, or remove the folder."


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
            file.write(line.encode(errors="replace") + b"\n")  # a file name may hold bytes that are no text
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

    def read(self, skipped: list[Problem] | None = None) -> list[dict[str, Any]]:
        """The events of all lines that hold one; [] where there is no journal.

        Args:
            skipped: where a problem is added for each line that is left out, and for a journal that cannot be read.

        Raises:
            OSError: the journal cannot be read, and `skipped` is None.
        """
        try:
            lines = read_regular(self.path).split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if skipped is None:
                raise
            what = f"not readable: {error.strerror or error}"
            skipped.append(Problem(str(self.path), None, what, UNREADABLE_FIX))
            return []
        events = []
        for number, line in enumerate(lines, start=1):
            event, why = event_of(line)
            if event is not None:
                events.append(event)
            elif why is not None and skipped is not None:
                if number == len(lines):  # without a newline
                    if has_writer(self.path.parent):
                        continue  # it is being written
                    why = CUT_SHORT
                skipped.append(Problem(str(self.path), number, why, LINE_FIX, level="warning"))
        return events

    def is_of(self, life: str) -> bool:
        """Whether the run's last start or resumption is that of this life; a life that was replaced writes no more."""
        lives = [entry for entry in self.read() if entry["event"] in ("start", "resume")]
        return bool(lives) and lives[-1].get("life") == life

    def last(self, event: str) -> dict[str, Any] | None:
        """The last event of this kind; None where there is none."""
        return next((entry for entry in reversed(self.read()) if entry["event"] == event), None)


def event_of(line: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """The event of a line, or why it holds none, in words; neither of an empty line."""
    if not line:
        return None, None
    try:
        value = parse_json(line)
    except ValueError as error:
        return None, f"not JSON: {error}"
    why = why_no_event(value)
    return (value, None) if why is None else (None, why)


def run_folders(
    storage: str | os.PathLike[str], experiment: str | None = None, skipped: list[Problem] | None = None
) -> list[Path]:
    """Folders of all runs and sweeps of an experiment (None: of all experiments) that have a journal, by name.

    Args:
        skipped: where a problem is added for each experiment that cannot be listed.

    Raises:
        UsageError: there is no such storage, or no run of such an experiment in it.
        OSError: the storage cannot be listed; or an experiment, and `skipped` is None.
    """
    root = Path(storage).expanduser().resolve()
    if not root.exists():
        raise UsageError(f"no folder {root}: {argument('storage')} names the folder that holds experiments")
    if not root.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    folders: list[Path] = []
    unreadable = False
    for folder in _entries(root) if experiment is None else [root / experiment]:
        try:
            folders += _with_journal(folder)
        except OSError as error:
            if skipped is None:
                raise
            unreadable = True
            fix = "Its runs are left out; give yourself the right to read it."
            skipped.append(Problem(str(folder), None, f"not readable: {error.strerror or error}", fix))
    if experiment is not None and not folders and not unreadable:
        raise UsageError(f"{root}: {no_such_name('experiment', experiment, experiments(root))}")
    return folders


def experiments(storage: Path) -> list[str]:
    """Names of a storage's experiments that have a run with a journal; those that cannot be listed are left out."""
    names = []
    for folder in _entries(storage):
        with contextlib.suppress(OSError):
            if _with_journal(folder):
                names.append(folder.name)
    return names


def _with_journal(folder: Path) -> list[Path]:
    return [run for run in _entries(folder) if os.path.lexists(run / NAME)]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, by name; nothing where it is no folder."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except (FileNotFoundError, NotADirectoryError):
        return []


def has_writer(folder: str | os.PathLike[str]) -> bool:
    """Whether a process that wrote to this run's journal is still alive, and can write more."""
    return is_locked(Path(folder) / NAME)


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
