"""Named pipes and devices among the files of a data set are refused before anything is opened.

A named pipe waits for a writer for ever, and a device such as /dev/zero has no end. Every reader of this package checks
the file that it opens (raytrain/files.py: open_regular); this check is for those of other libraries, and names all.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from raytrain.data.problems import Problems
from raytrain.errors import Problem
from raytrain.files import require_regular


def refuse_special_files(root: str | os.PathLike[str]) -> None:
    """Raises DataError with the named pipes and devices below a folder, and the links to such; opens nothing.

    Linked folders are not entered, and folders that cannot be listed are left to their reader.
    """
    problems = Problems()
    folders = [Path(root).expanduser()]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False):
                        _check(entry.path, problems)
        except OSError:
            continue
    problems.raise_if_any()


def _check(path: str, problems: Problems) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:  # a link to nothing, or to itself
        return
    if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode):  # which no reader opens
        return
    try:
        require_regular(path)
    except OSError as error:
        fix = "Put the file itself there, or remove it."
        problems.add("special", Problem(path, None, error.strerror or str(error), fix))
