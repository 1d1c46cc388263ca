"""Files of a table are what its table.json says: their sha256, computed once per version of a file.

A version is the file's inode, size and times. Its hash is noted in the table's folder, where every node that shares it
finds the note, or, if that cannot be written to, in the user's cache folder. A file that was replaced, changed or
copied is hashed again. Of several processes that need a file at the same time one hashes it, and the others wait.

    <table>/.verified/<file>.<first 16 digits of the sha256>.json       {"inode": ..., "size": ..., ...}
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from raytrain.data.progress import Say
from raytrain.errors import DataError, Problem
from raytrain.files import locked, open_regular, read_model, size, write_json
from raytrain.progress import say

FOLDER = ".verified"
NOTED_BYTES = 2**24  # a smaller file is hashed each time: that takes some ten milliseconds
CHUNK_BYTES = 2**22
SAY_EVERY_S = 4.0
_FIX = "Restore the file, or build the table again; for features, `raytrain data encode --replace`."


class ChangedFile(DataError):
    """A file is not the one that its table describes."""


class Version(BaseModel):
    """Which version of a file has been verified.

    Args:
        inode, size: of the file.
        mtime_ns, ctime_ns: when its content and when its inode changed last.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Version:
        """The version of the file as it is now."""
        status = os.stat(path)
        return cls(inode=status.st_ino, size=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)


def verify(path: Path, expected: str, folder: Path, again: bool = False, say: Say | None = say) -> None:
    """Checks that a file has the sha256 that its table states.

    Args:
        path: of the file.
        expected: its sha256, 64 hex digits.
        folder: of the table, where the verified version is noted.
        again: hash it whatever is noted.
        say: receives a line every few seconds while a large file is hashed; None is silent.

    Raises:
        ChangedFile: it has another sha256.
        DataError: it is missing, cannot be read, or changed while it was read.
    """
    try:
        version = Version.of(path)
        if version.size < NOTED_BYTES:
            _compare(path, expected, None)
            return
        name = _name(path, expected)
        folders = (folder / FOLDER, _private_folder(folder))
        if not again and any(_read(place / f"{name}.json") == version for place in folders):
            return
        with _held(folders, name) as note:
            if not again and note is not None and _read(note) == version:  # another process has just verified it
                return
            if note is None and say:
                say(f"verifying {path} at every start: none of {', '.join(map(str, folders))} can be written to")
            _compare(path, expected, say)
            if Version.of(path) != version:
                raise DataError(Problem(str(path), None, "changed while it was verified", "Start again."))
            _write(note, version)
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", _FIX)) from None
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror or error}", _FIX)) from None


def record(path: Path, expected: str, folder: Path) -> None:
    """Notes that a file has this sha256, computed while it was written; arguments as in `verify`."""
    version, folders = Version.of(path), (folder / FOLDER, _private_folder(folder))
    if version.size >= NOTED_BYTES:
        with _held(folders, _name(path, expected)) as note:
            _write(note, version)


def _compare(path: Path, expected: str, say: Say | None) -> None:
    digest, done, last_s = hashlib.sha256(), 0, time.monotonic()
    with open_regular(path) as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if say and time.monotonic() - last_s > SAY_EVERY_S:
                last_s = time.monotonic()
                say(f"verifying {path}: {size(done)} of {size(total)}, once for this version of the file")
    if digest.hexdigest() != expected:
        what = f"changed after it was written: its sha256 is {digest.hexdigest()[:12]}, table.json says {expected[:12]}"
        raise ChangedFile(Problem(str(path), None, what, _FIX))


def _name(path: Path, expected: str) -> str:
    return f"{path.name}.{expected[:16]}"


def _private_folder(table: Path) -> Path:
    """The folder of a table's notes in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "raytrain" / "verified" / hashlib.sha256(os.fsencode(table)).hexdigest()[:16]


@contextlib.contextmanager
def _held(folders: Sequence[Path], name: str) -> Iterator[Path | None]:
    """The path of a note in the first folder that can be written to, held against other processes; None without one."""
    for folder in folders:
        lock = folder / f"{name}.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError:
            continue
        with locked(lock):
            yield folder / f"{name}.json"
        return
    yield None


def _read(note: Path) -> Version | None:
    try:
        return read_model(note, Version, "Delete it.")
    except (FileNotFoundError, DataError):
        return None


def _write(note: Path | None, version: Version) -> None:
    if note is not None:
        with contextlib.suppress(OSError):  # a full disk: the file is hashed again next time
            write_json(note, version.model_dump())
