"""Where an annotation may point: only into the folder the user named."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from raytrain.errors import DataError, Problem

_FIX = "Give a path relative to the image folder that stays inside it; copy linked files into the folder."


def contained(root: str | os.PathLike[str], relative: str) -> Path:
    """The path of `relative` under `root`; the file need not exist.

    Args:
        root: folder named by the user; may itself be a link.
        relative: path found in an annotation, untrusted, with forward slashes.

    Returns:
        An absolute path inside the resolved root.

    Raises:
        DataError: an empty or absolute path, one with "..", or one that a link leads out of the root.
            The problem's file is `relative` and its row None: a reader of annotations knows both better.
    """
    # read as both systems do: "C:\x" is absolute on one and a strange file name on the other
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(relative).is_absolute() or kind(relative).drive:
            raise DataError(Problem(relative, None, f"absolute path {relative!r}", _FIX))
        if ".." in kind(relative).parts:
            raise DataError(Problem(relative, None, f"path {relative!r} climbs out of the folder with '..'", _FIX))
    if not relative or "\0" in relative or PurePosixPath(relative) == PurePosixPath("."):
        raise DataError(Problem(relative, None, f"path {relative!r} names no file", _FIX))
    base = Path(root).expanduser().resolve()
    path = base / relative
    try:
        inside = path.resolve().is_relative_to(base)
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    if not inside:
        raise DataError(Problem(relative, None, f"path {relative!r} leads out of {base} through a link", _FIX))
    return path
