"""Checks before a file is opened: its path stays inside the folder that the user named, and it is no pickle.

Files that systems leave beside data (a Mac's ._1.jpg and .DS_Store, Windows' Thumbs.db) are no data: every listing of a
folder leaves them out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from raytrain.errors import DataError, Problem, argument
from raytrain.files import open_regular

_MAX_NAME, _MAX_PATH = 255, 4095  # bytes; longer ones make every file system call fail
_LITTER_NAMES = frozenset(
    {"__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems", "icon\r"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
    | {"@eadir", ".directory", ".ipynb_checkpoints", ".git"}
)
_PAX_FOLDER = re.compile(r"paxheaders(\.\d+)?")  # headers of a tar file that an old tar unpacked as files
PATH_FIX = "Give a path relative to the image folder that stays inside it; copy linked files into the folder."


def need_folder(folder: Path, what: str) -> None:
    """DataError where the folder of a source is none; `what` says which folder it should be."""
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", f"Name the {what} with {argument('root')}."))


def contained(root: str | os.PathLike[str], relative: str) -> Path:
    """The path of `relative` under `root`; the file need not exist.

    Args:
        root: folder named by the user; may itself be a link.
        relative: path from an annotation, untrusted, with forward slashes.

    Returns:
        An absolute path inside the resolved root.

    Raises:
        DataError: the path is empty, absolute, contains "..", is longer than file systems allow, or a link in it
            leads out of the root. The problem names `relative` as its file, since only the reader of the annotations
            knows their file and row.
    """
    check_relative(relative)
    base = Path(root).expanduser().resolve()
    path = base / relative
    sizes = [len(part) for part in os.fsencode(path).split(b"/")]
    if max(sizes) > _MAX_NAME or sum(sizes) + len(sizes) > _MAX_PATH:
        what = f"path {relative[:40]!r}... is longer than file systems allow"
        raise DataError(Problem(relative[:40], None, what, PATH_FIX))
    try:
        resolved = path.resolve()
        inside = resolved.is_relative_to(base) and not resolved.is_symlink()  # a loop of links stays one (Python 3.13)
    except (OSError, RuntimeError):  # a loop of links, until Python 3.12
        inside = False
    if not inside:
        raise DataError(Problem(relative, None, f"path {relative!r} leads out of {base} through a link", PATH_FIX))
    return path


def check_relative(relative: str) -> None:
    """Raises DataError for a path that is empty, absolute, contains "..", or is not valid Unicode."""
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise DataError(Problem(ascii(relative), None, f"path {relative!a} is not valid Unicode", PATH_FIX)) from None
    # checked by the rules of both systems: "C:\x" is absolute on Windows and a plain file name on POSIX
    for path_type in (PurePosixPath, PureWindowsPath):
        if path_type(relative).is_absolute() or path_type(relative).drive:
            raise DataError(Problem(relative, None, f"absolute path {relative!r}", PATH_FIX))
        if ".." in path_type(relative).parts:
            raise DataError(Problem(relative, None, f"path {relative!r} climbs out of the folder with '..'", PATH_FIX))
    if not relative or "\0" in relative or PurePosixPath(relative) == PurePosixPath("."):
        raise DataError(Problem(relative, None, f"path {relative!r} names no file", PATH_FIX))


def is_litter(relative: str | os.PathLike[str]) -> bool:
    """Whether a part of a path is what a system, not a person, put beside the data: "__MACOSX/._1.jpg", "Thumbs.db"."""
    parts = PurePosixPath(relative).parts
    return any(
        part.startswith("._") or part.lower() in _LITTER_NAMES or bool(_PAX_FOLDER.fullmatch(part.lower()))
        for part in parts
    )


def files_below(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The files below a folder without litter, in no order; linked folders are not entered, so loops of links end."""
    for inside, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_litter(name)]
        yield from (Path(inside, name) for name in names if not is_litter(name))


def entries(folder: Path) -> list[Path]:
    """The files and folders in a folder without litter, sorted."""
    return sorted(path for path in folder.iterdir() if not is_litter(path.name))


def open_binary(path: Path) -> BinaryIO:
    """Opens a regular file for reading bytes; raises DataError for a pipe or device, or if the system refuses."""
    try:
        return open_regular(path)
    except OSError as error:
        fix = "Put the file there, or grant yourself read permission."
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror or error}", fix)) from None


PICKLES = (".pkl", ".pickle", ".pk", ".pt", ".pth", ".joblib", ".dill")


def refuse_pickle(path: Path) -> None:
    """Raises DataError for a pickle, by its suffix: unpickling can run any code."""
    if path.suffix.lower() in PICKLES:
        fix = (
            "Use a JSON file of the same content (vocab.json in place of vocab.pkl; `raytrain data vocabulary "
            "vocab.pkl --out vocab.json` converts one), or write it as JSON, CSV or .npy."
        )
        raise DataError(Problem(str(path), None, "pickles are never read, since they can run code", fix))
