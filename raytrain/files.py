"""Files that a reader finds whole or not at all, their contents as models, their hashes, locks, and full disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from raytrain.errors import DataError, DiskFullError, Problem

Model = TypeVar("Model", bound=BaseModel)

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file grows beyond what the file system or `ulimit -f` allows",
}


def sha256(path: Path) -> str:
    """64 hex digits over the file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> Path:
    """Write `path` atomically and return it: a reader sees the old file or the new one."""
    part = path.with_name(f"{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return path


def read_model(path: Path, kind: type[Model], fix: str) -> Model:
    """A JSON file as a pydantic model.

    Args:
        fix: what to do about a damaged file, in a sentence.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file cannot be read, or is no such model; each problem names the file and the field.
    """
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise
    except ValidationError as error:
        raise DataError(
            [
                Problem(
                    str(path),
                    None,
                    f"field {'.'.join(map(str, detail['loc'])) or '(whole file)'}: {detail['msg']}",
                    fix,
                )
                for detail in error.errors(include_url=False)
            ]
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise DataError(Problem(str(path), None, f"not readable: {error}", fix)) from None


def sync(path: Path) -> None:
    """Until a file, or what a folder lists, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Alone with an existing file, among those who ask; the kernel lets go however the process ends.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
    """
    with open(path, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks
        yield


@contextlib.contextmanager
def room_in(folder: Path, what: str, then: str = "give the same command again") -> Iterator[None]:
    """Inside, running out of space is a DiskFullError that names the folder, whichever library trips over it.

    Args:
        folder: that is written to.
        what: is being written, in words.
        then: what to do once there is room.
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
    """Raises DiskFullError if a folder's file system has less than `needed_bytes` free, before hours are spent."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(
            f"{folder}: {what} takes {size(needed_bytes)} and {size(free)} are free there: {size(needed_bytes - free)} "
            "are missing. Make room and give the same command again"
        )


def size(count: float) -> str:
    """Bytes as people say them: 43520 -> "43.5 kB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _why_full(error: BaseException | None) -> str | None:
    """Why an error, or one that led to it, is that of a full disk; None of any other."""
    while error is not None:
        for number, why in _FULL.items():
            # safetensors writes in Rust and tells the number in words alone
            if (isinstance(error, OSError) and error.errno == number) or f"(os error {number})" in str(error):
                return why
        error = error.__cause__ or error.__context__
    return None
