"""How often a test split was opened: lines that are only ever appended to, beside the runs and in the table.

    {"id": ..., "time": ..., "test": sha256 of the test rows, "weights": sha256, "uid": of the run, "run", "protocol"}

An opening is counted by what was opened, the test rows, and by what was measured, the weights. So a run that was copied
or renamed, or whose journal was removed, goes on counting as long as one of the two files is where it was. An opening
of both files has one id, and counts once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from raytrain.files import locked

NAME = "test_openings.jsonl"


class Opened(NamedTuple):
    """What an opening is counted by.

    Args:
        test: hash of the test rows.
        weights: hash of the weights that are measured.
        uid: of the run; None where its journal does not say.
    """

    test: str
    weights: str
    uid: str | None


class Openings(NamedTuple):
    """Numbers of openings of some test rows: by one run or the same weights elsewhere, and by any weights."""

    of_run: int
    of_test: int


def record_opening(
    files: Sequence[Path], opened: Opened, events: Iterable[Mapping[str, Any]], **facts: Any
) -> tuple[str, Openings]:
    """Count one more opening of the test split, and return its id and the numbers with it.

    Processes that open at once get different numbers. A file that cannot be written gives a warning, and the others
    count.

    Args:
        files: the counting files, always in the same order.
        opened: what is opened.
        events: of the run's journal, which counts too.
        facts: what else the line says, such as the protocol.
    """
    entry = {"id": uuid.uuid4().hex, "time": round(time.time(), 3), **opened._asdict(), **facts}
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    with contextlib.ExitStack() as locks:
        writable = []
        for file in dict.fromkeys(files):
            try:
                _open(file, os.O_RDWR | os.O_CREAT).close()  # made where there is none
                locks.enter_context(locked(file))
                writable.append(file)
            except OSError as error:
                _warn(file, error)
        openings = count_openings(files, opened, [*events, {"event": "evaluation", "opening": entry}])
        for file in writable:
            try:
                _append(file, line)
            except OSError as error:
                _warn(file, error)
    return str(entry["id"]), openings


def count_openings(files: Iterable[Path], opened: Opened, events: Iterable[Mapping[str, Any]]) -> Openings:
    """The openings that the files and a run's journal know.

    Args:
        files: the counting files; those that do not exist or cannot be read count nothing.
        opened: what is counted.
        events: of the run's journal.
    """
    entries = [entry for file in dict.fromkeys(files) for entry in read_openings(file)]
    own = set(openings_of_journal(events))
    same = {entry["id"] for entry in entries if entry["test"] == opened.test}
    same_run = {
        entry["id"]
        for entry in entries
        if entry["id"] in same
        and (entry.get("weights") == opened.weights or (opened.uid and entry.get("uid") == opened.uid))
    }
    return Openings(len(own | same_run), len(own | same))


def openings_of_journal(events: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """The id of each opening in the events of a run's journal.

    Of journals from before openings had ids, each evaluation on test without re-ranking is one, known by its time.
    """
    for event in events:
        if event.get("event") != "evaluation":
            continue
        opening = event.get("opening")
        if isinstance(opening, Mapping):
            yield str(opening.get("id"))
        elif event.get("split") == "test" and not event.get("rerank"):
            yield str(event.get("time"))


def read_openings(file: Path) -> list[dict[str, Any]]:
    """The lines of a counting file that are whole; [] where there is none or it cannot be read."""
    try:
        with _open(file, os.O_RDONLY) as content:
            lines = content.read().split(b"\n")
    except OSError:
        return []
    entries = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("test"), str):
                entries.append(entry)
    return entries


def _open(file: Path, flags: int) -> BinaryIO:
    """A plain file, opened; a table may come from anywhere, and its file could be a link to another one, or a pipe.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no plain file")
    return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "rb+")


def _append(file: Path, line: bytes) -> None:
    with _open(file, os.O_RDWR | os.O_APPEND) as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":  # of a writer that was killed within its line
                line = b"\n" + line
        out.write(line)
        out.flush()
        os.fsync(out.fileno())


def _warn(file: Path, error: OSError) -> None:
    warnings.warn(
        f"{file} cannot be written ({error.strerror}): this opening of the test split is counted without it",
        RuntimeWarning,
        stacklevel=3,
    )
