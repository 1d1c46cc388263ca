"""Layouts: how a source recognises its files in a folder, for `raytrain data detect`.

Each module of raytrain/data/sources has a `looks_like(root) -> Layout | None`, built from the functions here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from raytrain.data.images import IMAGE_SUFFIXES
from raytrain.data.paths import files_below, is_litter

KNOWN, MARKED, GUESSED = 3, 2, 1  # file names of one benchmark; a self-describing file format; a plausible reading
_MANY = 10_000
_LISTED = 6  # more files than this are counted instead of listed


@dataclass(frozen=True)
class Layout:
    """A folder as one source reads it.

    Args:
        found: descriptions of the files that are there.
        missing: descriptions of the files that are needed to build the table and absent.
        options: options of `data build` that differ from their defaults.
        certainty: KNOWN, MARKED or GUESSED.
    """

    found: list[str]
    missing: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    certainty: int = KNOWN


def layout_of(
    root: Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    at_least: int = 1,
    certainty: int = KNOWN,
) -> Layout | None:
    """The layout of a folder from globs under `root`, such as "captions/cap.*.json" or "images/".

    Args:
        needed: files that the source must have; those without a match are missing.
        optional: files that it reads if they exist.
        options: as in Layout.
        at_least: number of `needed` globs that must match, else the result is None.
        certainty: as in Layout.
    """
    present: list[str] = []
    missing: list[str] = []
    for pattern in needed:
        match = describe_match(root, pattern)
        (present if match else missing).append(match or pattern)
    if len(needed) - len(missing) < at_least:
        return None
    files = [match for match in present if "/ (" not in match and not match.endswith("/")]
    if len(files) > _LISTED:
        present = [f"{len(files)} files ({files[0]}, ...)", *(match for match in present if match not in files)]
    present += [match for pattern in optional if (match := describe_match(root, pattern))]
    return Layout(present, missing, dict(options or {}), certainty)


def describe_match(root: Path, pattern: str) -> str:
    """What matches a glob: the name, a number of files, or a folder and its number of images; "" if nothing does."""
    if pattern.endswith("/"):
        folder = root / pattern
        if not folder.is_dir():
            return ""
        count = len(list(islice(image_files(folder), _MANY)))
        return f"{pattern} ({count:,}{' or more' if count == _MANY else ''} images)" if count else pattern
    paths = (path for path in sorted(root.glob(pattern)) if not is_litter(path.name))
    names = [path.relative_to(root).as_posix() for path in islice(paths, _MANY)]
    return names[0] if len(names) == 1 else f"{len(names)} of {pattern}" if names else ""


def image_files(folder: Path) -> Iterator[Path]:
    """Files with an image's suffix below a folder, in no order."""
    yield from (path for path in files_below(folder) if path.name.lower().endswith(IMAGE_SUFFIXES))


def column_named(columns: Sequence[str], names: Sequence[str]) -> str:
    """The column with the first matching name of `names`, whatever its case; "" if there is none."""
    lower = {column.lower(): column for column in columns}
    return next((lower[name] for name in names if name in lower), "")
