"""Where the images are that annotations name: in which folder, with which suffix, without which start of their paths.

`raytrain data detect` looks at the first annotated names and at the folders that are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PureWindowsPath

from raytrain.data.annotations.layouts import Layout
from raytrain.data.images import IMAGE_SUFFIXES
from raytrain.data.paths import is_litter
from raytrain.data.presence import Presence

SAMPLE = 50  # annotated names that are looked for
_MAX_FOLDERS = 500
_MAX_DEPTH = 3
_USUAL = ("images", "image", "imgs", "img", "photos", "pictures", ".")


@dataclass(frozen=True)
class Placement:
    """Where annotated images are.

    Args:
        folder: of the images, relative to the root of the data set; "." for the root itself.
        strip: start of the annotated paths that is no part of the path in the folder.
        suffix: that the annotated names lack.
        there: number of the sampled names whose file is there.
        sampled: number of names that were looked for.
        absent: a name whose file is not there, or empty.
    """

    folder: str
    strip: str = ""
    suffix: str = ""
    there: int = 0
    sampled: int = 0
    absent: str = ""

    @property
    def options(self) -> dict[str, str]:
        """The options of the source captions that differ from their defaults."""
        options = {} if self.folder == "images" else {"images": self.folder}
        return options | {name: value for name, value in (("strip", self.strip), ("suffix", self.suffix)) if value}

    def words(self) -> list[str]:
        """What people should know about names that were not found: [] if all of them are there."""
        if self.there == self.sampled:
            return []
        return [f"{self.there} of the first {self.sampled} listed images are there, {self.absent!r} is not"]


def place_images(root: Path, names: Iterable[str], plain: bool = False) -> Placement | None:
    """The place with most of the first annotated names; None if none of them is anywhere.

    Args:
        root: of the data set.
        names: as annotated, untrusted.
        plain: whether names are only looked for as they are, since the source has no options strip and suffix.
    """
    sample = list(dict.fromkeys(islice((name for name in names if name), SAMPLE)))
    presences = {folder: Presence(root / folder) for folder in image_folders(root)}
    best: Placement | None = None
    for readings in (_as_they_are,) if plain else (_as_they_are, _changed):
        for folder, presence in presences.items():
            for strip, suffix in readings(sample, presence):
                placement = _count(presence, folder, sample, strip, suffix)
                if placement.there > (best.there if best else 0):
                    best = placement
            if best and best.there == best.sampled:
                return best
    return best


def image_folders(root: Path) -> Iterator[str]:
    """Folders that may hold images, relative to a root: those with usual names first, then by depth and name."""
    level = ["."]
    count = 0
    folders: list[str] = []
    for _ in range(_MAX_DEPTH + 1):
        folders += level
        inner = []
        for folder in level:
            if count >= _MAX_FOLDERS:
                break
            try:
                with os.scandir(root / folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_dir() and not is_litter(entry.name))
            except OSError:
                continue
            names = [name for name in names if not name.startswith(".")][: _MAX_FOLDERS - count]
            count += len(names)
            inner += [name if folder == "." else f"{folder}/{name}" for name in names]
        level = inner
    rank = {name: place for place, name in enumerate(_USUAL)}
    yield from sorted(folders, key=lambda folder: rank.get(folder.lower(), len(_USUAL)))


def _count(presence: Presence, folder: str, sample: Sequence[str], strip: str, suffix: str) -> Placement:
    there, absent = 0, ""
    for name in sample:
        if presence.has(name.removeprefix(strip) + suffix):
            there += 1
        else:
            absent = absent or name
    return Placement(folder, strip, suffix, there, len(sample), absent)


def _as_they_are(sample: Sequence[str], presence: Presence) -> Iterator[tuple[str, str]]:
    """No strip and no suffix, if a sampled name leads to a file so."""
    if any(map(presence.has, sample)):
        yield "", ""


def _changed(sample: Sequence[str], presence: Presence) -> Iterator[tuple[str, str]]:
    """(strip, suffix) pairs that lead to the file of the first sampled name."""
    if not sample:
        return
    first = sample[0]
    for suffix in IMAGE_SUFFIXES:
        if presence.has(first + suffix):
            yield "", suffix
    parts = PureWindowsPath(first).parts  # separates at slashes and backslashes
    for start in range(1, len(parts)):
        tail = "/".join(parts[start:])
        if presence.has(tail):
            yield first[: len(first) - len(tail)], ""
            return


def with_listed_images(layout: Layout | None, folder: Path, names: Iterable[str]) -> Layout | None:
    """The layout with a sentence about the first listed images that are not there; they are missing if none is.

    Args:
        layout: of the source; None, and one that lacks files, stay as they are.
        folder: of the images.
        names: paths relative to it, untrusted.
    """
    if layout is None or layout.missing:
        return layout
    presence = Presence(folder)
    sample = list(islice(names, SAMPLE))
    absent = [name for name in sample if not presence.has(name)]
    if not absent:
        return layout
    if len(absent) == len(sample):
        return replace(layout, missing=[presence.find(absent[0]).what])
    there = f"{len(sample) - len(absent)} of the first {len(sample)} listed images are there, {absent[0]!r} is not"
    return replace(layout, found=[*layout.found, there])
