"""What a source sees in a folder, for `raytrain data detect`.

Each module of raytrain/data/sources says so itself, with `looks_like(root) -> Layout | None`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from raytrain.data.images import IMAGE_SUFFIXES

KNOWN, MARKED, GUESSED = 3, 2, 1  # names of one benchmark alone; a form of file that says what it is; a likely reading
_MANY = 10_000
_LISTED = 6  # more files than this are counted


@dataclass(frozen=True)
class Layout:
    """A folder as one source reads it.

    Args:
        found: what is there, in words.
        missing: what is not there and must be before the table can be built.
        options: what `data build` needs beyond its defaults.
        certainty: KNOWN, MARKED or GUESSED.
    """

    found: list[str]
    missing: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    certainty: int = KNOWN


def marked(
    root: Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    at_least: int = 1,
    certainty: int = KNOWN,
) -> Layout | None:
    """A layout from a table of marks: globs under `root`, "captions/cap.*.json" or "images/".

    Args:
        needed: what the source reads; those without a match are missing.
        optional: what it reads where it is there.
        at_least: so many of `needed` must match, or the folder is none of this source.
    """
    found: list[str] = []
    missing: list[str] = []
    for pattern in needed:
        said = describe_match(root, pattern)
        (found if said else missing).append(said or pattern)
    if len(needed) - len(missing) < at_least:
        return None
    files = [said for said in found if "/ (" not in said and not said.endswith("/")]
    if len(files) > _LISTED:
        found = [f"{len(files)} files ({files[0]}, ...)", *(said for said in found if said not in files)]
    found += [said for pattern in optional if (said := describe_match(root, pattern))]
    return Layout(found, missing, dict(options or {}), certainty)


def describe_match(root: Path, pattern: str) -> str:
    """What matches a glob, in words: the name, a number of files, or a folder and its images; "" of nothing."""
    if pattern.endswith("/"):
        folder = root / pattern
        if not folder.is_dir():
            return ""
        count = len(list(islice(image_files(folder), _MANY)))
        return f"{pattern} ({count:,}{' or more' if count == _MANY else ''} images)" if count else pattern
    names = [path.relative_to(root).as_posix() for path in islice(sorted(root.glob(pattern)), _MANY)]
    return names[0] if len(names) == 1 else f"{len(names)} of {pattern}" if names else ""


def image_files(folder: Path) -> Iterator[Path]:
    """Files called as images are, below a folder, in no order."""
    for inside, _, names in os.walk(folder):
        yield from (Path(inside, name) for name in names if name.lower().endswith(IMAGE_SUFFIXES))


def image_folder(root: Path, names: Iterable[str]) -> str | None:
    """The folder under root that holds the first of some annotated names: "images", "." or another; None of none."""
    wanted = list(islice(names, 20))
    folders = [".", *sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))]
    folders.sort(key=lambda name: name != "images")
    for folder in folders:
        try:
            if any(name and not name.startswith("/") and (root / folder / name).is_file() for name in wanted):
                return folder
        except (OSError, ValueError):
            continue
    return None


def named(columns: Sequence[str], names: Sequence[str]) -> str:
    """The first of some likely names that is a column, in the column's own case; ""."""
    lower = {column.lower(): column for column in columns}
    return next((lower[name] for name in names if name in lower), "")
