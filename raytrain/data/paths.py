"""What may be opened: paths of annotations only inside the folder the user named, and never a pickle."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from raytrain.errors import DataError, Problem

_MAX_NAME, _MAX_PATH = 255, 4095  # bytes; longer ones make every file system call fail
PATH_FIX = "Give a path relative to the image folder that stays inside it; copy linked files into the folder."


def contained(root: str | os.PathLike[str], relative: str) -> Path:
    """The path of `relative` under `root`; the file need not exist.

    Args:
        root: folder named by the user; may itself be a link.
        relative: path found in an annotation, untrusted, with forward slashes.

    Returns:
        An absolute path inside the resolved root.

    Raises:
        DataError: an empty or absolute path, one with "..", one that no file system can hold, or one that a link
            leads out of the root.
            The problem's file is `relative` and its row None: a reader of annotations knows both better.
    """
    check_relative(relative)
    base = Path(root).expanduser().resolve()
    path = base / relative
    sizes = [len(part) for part in os.fsencode(path).split(b"/")]
    if max(sizes) > _MAX_NAME or sum(sizes) + len(sizes) > _MAX_PATH:
        what = f"path {relative[:40]!r}... is longer than file systems allow"
        raise DataError(Problem(relative[:40], None, what, PATH_FIX))
    try:
        inside = path.resolve().is_relative_to(base)
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    if not inside:
        raise DataError(Problem(relative, None, f"path {relative!r} leads out of {base} through a link", PATH_FIX))
    return path


def check_relative(relative: str) -> None:
    """Raises DataError for a path that no folder may hold: empty, absolute, with "..", or no Unicode text."""
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise DataError(Problem(ascii(relative), None, f"path {relative!a} is no Unicode text", PATH_FIX)) from None
    # read as both systems do: "C:\x" is absolute on one and a strange file name on the other
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(relative).is_absolute() or kind(relative).drive:
            raise DataError(Problem(relative, None, f"absolute path {relative!r}", PATH_FIX))
        if ".." in kind(relative).parts:
            raise DataError(Problem(relative, None, f"path {relative!r} climbs out of the folder with '..'", PATH_FIX))
    if not relative or "\0" in relative or PurePosixPath(relative) == PurePosixPath("."):
        raise DataError(Problem(relative, None, f"path {relative!r} names no file", PATH_FIX))


def opened(path: Path) -> BinaryIO:
    """A file opened for reading bytes; DataError where the system refuses it."""
    try:
        return open(path, "rb")
    except OSError as error:
        fix = "Put the file there, or give yourself the right to read it."
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror}", fix)) from None


PICKLES = (".pkl", ".pickle", ".pk", ".pt", ".pth", ".joblib", ".dill")


def refuse_pickle(path: Path) -> None:
    """Raises DataError for a file that only unpickling reads: a pickle can run any code."""
    if path.suffix.lower() in PICKLES:
        fix = (
            "Use the JSON of the same content (vocab.json in place of vocab.pkl; `raytrain data vocabulary vocab.pkl "
            "--out vocab.json` converts one), or write it as JSON, CSV or .npy."
        )
        raise DataError(Problem(str(path), None, "a pickle, which can run code, is never read", fix))
