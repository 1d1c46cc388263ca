"""Rows of one's own data in one form: an image, what is said of it, and its split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raytrain.errors import UsageError

SPLIT_OF = {
    "train": "train", "training": "train", "restval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class SourceLocation:
    """Where an annotation stands: its file, and its row from 0; None for the whole file."""

    file: str
    row: int | None


@dataclass(frozen=True)
class Record:
    """An image with what a row says of it; several rows may be of one image.

    Args:
        place: of the row, for errors.
        texts: captions as they stand.
        file: of the image, relative to the image folder; a mere name, or empty, where `data` holds the picture.
        data: the picture's bytes, where the row brings them.
        id: of the image; empty where `file` (or else the content of `data`) names it.
        split: as it stands; empty where none is stated.
        group: class or family, or empty.
        attribution: credit, or empty.
    """

    place: SourceLocation
    texts: Sequence[str]
    file: str = ""
    data: bytes | None = None
    id: str = ""
    split: str = ""
    group: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class Shares:
    """What a user decides on building.

    Args:
        val, test: shares of the images to draw for these splits, from those that state no split or "train".
        allow_missing: share in [0, 1] of the images, and of the captions, that may be unusable.
    """

    val: float = 0.0
    test: float = 0.0
    allow_missing: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise UsageError(f"val and test are shares that leave some to train; given: {self.val}, {self.test}")


def split_of(name: str) -> str | None:
    """The table's split a stated name means ("validation" -> "val"), or None; case and blanks do not matter."""
    return SPLIT_OF.get(name.strip().lower())


def split_in(name: str) -> str:
    """The split that one part of a file's name states: "f30k-train-0003" -> "train"; "" of none, or of two."""
    parts = {part for part in re.split(r"[^A-Za-z]+", name) if split_of(part)}
    return parts.pop() if len({split_of(part) for part in parts}) == 1 else ""


def with_split(record: Record, stated: str) -> Record:
    """The record with the split that its folder or file states, unless its row states one itself."""
    return record if record.split or not stated else replace(record, split=stated)
