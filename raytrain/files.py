"""File operations: atomic writes, JSON as values and as models, hashes, locks, errors that explain a full disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from raytrain.errors import DataError, DiskFullError, Problem

Model = TypeVar("Model", bound=BaseModel)

FULL_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file grows beyond what the file system or `ulimit -f` allows",
}


_SPECIAL = (
    (stat.S_ISDIR, errno.EISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, errno.EINVAL, "is a named pipe, not a file"),
    (stat.S_ISSOCK, errno.EINVAL, "is a socket, not a file"),
    (stat.S_ISCHR, errno.EINVAL, "is a device, not a file"),
    (stat.S_ISBLK, errno.EINVAL, "is a device, not a file"),
)
MAX_SHOWN_FIELDS = 10
_LONG_NUMBER = re.compile(rb"\d{19}|[eE]\+?\d{3}")
LARGEST_WHOLE_NUMBER = 2**63 - 1
"""What a database column and a numpy array hold."""


def require_regular(path: str | os.PathLike[str]) -> None:
    """Raises OSError where a path is no regular file nor a link to one; nothing is opened.

    A named pipe would wait for its writer for ever, and a device may have no end.
    """
    mode = os.stat(path).st_mode
    for is_kind, number, what in _SPECIAL:
        if is_kind(mode):
            raise OSError(number, what, os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file for reading bytes; raises OSError, without waiting, for anything else."""
    require_regular(path)
    # the file may have been replaced since: without O_NONBLOCK a named pipe would be waited for
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a regular UTF-8 file, line ends as "\\n"; raises OSError or UnicodeDecodeError."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8") as file:
        return file.read()


def plain_name(path: str | os.PathLike[str]) -> str:
    """The last part of a path in letters, digits, ".", "_" and "-", as a run's name has: "my data" -> "my-data"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).strip("-.")


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file; raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def parse_json(data: bytes, allow_nan: bool = False) -> Any:
    """The value of a JSON text.

    Every text in it can be written as UTF-8, and every number is finite and has at most 64 bits.

    Args:
        allow_nan: take the names NaN and Infinity, and numbers beyond float64, too.

    Raises:
        ValueError: it is none of that; the message says where.
    """
    if b"\\u0000" in data:
        raise ValueError("a text holds a NUL character")
    value = from_json(data, allow_inf_nan=allow_nan)
    if _LONG_NUMBER.search(data):
        _refuse_large_numbers(value, allow_nan)
    return value


def _refuse_large_numbers(value: Any, allow_nan: bool) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _refuse_large_numbers(part, allow_nan)
    elif isinstance(value, int) and abs(value) > LARGEST_WHOLE_NUMBER:
        raise ValueError(f"a whole number of {len(str(abs(value)))} digits; 64 bits are allowed")
    elif value in (float("inf"), float("-inf")) and not allow_nan:
        raise ValueError("a number beyond the range of float64")


def sha256(path: Path) -> str:
    """sha256 of the file's bytes, 64 hex digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> Path:
    """Writes `path` atomically and returns it: a reader sees the old file or the new one, never a part."""
    with replacing(path) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; the file takes the place of `path` at the end, in one step.

    Each writer has a path of its own: of several at once the last one wins, and none sees half of another's file.
    After an error `path` is what it was.
    """
    part = path.with_name(f"{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_model(path: Path, kind: type[Model], fix: str) -> Model:
    """A JSON file as a pydantic model.

    Args:
        fix: what to do about a damaged file, in a sentence.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file cannot be read, or is no such model; each problem names the file and the field.
    """
    try:
        return kind.model_validate(parse_json(read_regular(path), allow_nan=True))
    except FileNotFoundError:
        raise
    except ValidationError as error:
        wrong = field_errors(error)
        problems = [Problem(str(path), None, what, fix) for what in wrong[:MAX_SHOWN_FIELDS]]
        problems[-1] = replace(problems[-1], more=len(wrong) - len(problems))
        raise DataError(problems) from None
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror or error}", fix)) from None
    except (ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise DataError(Problem(str(path), None, f"not readable: {error}", fix)) from None


def field_errors(error: ValidationError) -> list[str]:
    """A line per wrong field of a model: "field metrics.rsum: Input should be a finite number"."""
    return [
        f"field {'.'.join(map(str, detail['loc'])) or '(whole file)'}: {detail['msg'].removeprefix('Value error, ')}"
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def others_may_read(path: Path) -> bool:
    """Whether group or others have any right to the file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def make_secret(path: Path, text: str) -> None:
    """Writes a file that only this user may read; one that exists, or that another process makes now, stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(text)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds an exclusive advisory lock on an existing file; the kernel releases it however the process ends.

    On a file system without locks the body runs unlocked.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    with open(path, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks
        yield


def is_locked(path: Path, shared: bool = False) -> bool:
    """Whether a process that this host can see holds a lock of a file; False where there is none, or no locks.

    Args:
        shared: whether holders of a shared lock do not count.
    """
    try:
        with open_regular(path) if shared else _open_to_lock(path) as file:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _open_to_lock(path: str | os.PathLike[str]) -> io.BufferedReader:
    """`open_regular`, for writing too where this user may: NFS locks no other file exclusively (flock(2))."""
    require_regular(path)
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return open_regular(path)
    return os.fdopen(handle, "rb")


@contextlib.contextmanager
def room_in(folder: Path, what: str, then: str = "give the same command again") -> Iterator[None]:
    """Turns an error about a full disk, from whichever library, into a DiskFullError that names the folder.

    Args:
        folder: where the body writes.
        what: what it writes, in words.
        then: what the user does once there is room.

    Raises:
        DiskFullError: the disk or quota is full.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError) or (why := _why_full(error)) is None:
            raise
        free = shutil.disk_usage(folder).free if folder.exists() else 0
        raise DiskFullError(
            f"{folder}: no room for {what}: {why} ({size(free)} free there). What was complete is kept; make room and "
            f"{then}"
        ) from error


def need_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises DiskFullError if less than `needed_bytes` are free on the folder's file system.

    Called before long work, which would otherwise fail at its end.

    Args:
        what: what takes the space, in words.
    """
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(
            f"{folder}: {what} takes {size(needed_bytes)} and {size(free)} are free there: {size(needed_bytes - free)} "
            "are missing. Make room and give the same command again"
        )


def size(count: float) -> str:
    """A number of bytes for people: 43520 -> "43.5 kB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _why_full(error: BaseException | None) -> str | None:
    """Why the disk is full, if the error or one in its chain of causes says so; else None."""
    while error is not None:
        for number, why in FULL_DISK.items():
            # safetensors writes in Rust: its error holds the number only in its text
            if (isinstance(error, OSError) and error.errno == number) or f"(os error {number})" in str(error):
                return why
        error = error.__cause__ or error.__context__
    return None
