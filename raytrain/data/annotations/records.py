"""Records: an image, its captions and its split as one row of an annotation file states them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raytrain.errors import Problem, UsageError

SPLIT_OF = {
    "train": "train", "training": "train", "restval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class SourceLocation:
    """Where an annotation is: its file and its row (0-based in arrays and lists, 1-based in text files).

    The row is None for the whole file.
    """

    file: str
    row: int | None

    def problem(self, what: str, fix: str) -> Problem:
        """A problem of this annotation: what is wrong, and what to do."""
        return Problem(self.file, self.row, what, fix)


@dataclass(frozen=True)
class Record:
    """One row about an image; several rows may be about the same image.

    Args:
        place: the row, for errors.
        texts: captions as written.
        file: the image, relative to the image folder; a mere name, or empty, if `data` holds the image.
        data: the image's bytes, if the row contains them.
        id: of the image; empty if `file`, or else the content of `data`, identifies it.
        split: as written; empty if the row states none.
        group: class or family, or empty.
        attribution: credit, or empty.
        scope: of the id, such as a shard whose keys begin at 0 again; ids that several scopes have get it as a prefix.
    """

    place: SourceLocation
    texts: Sequence[str]
    file: str = ""
    data: bytes | None = None
    id: str = ""
    split: str = ""
    group: str = ""
    attribution: str = ""
    scope: str = ""


@dataclass(frozen=True)
class Shares:
    """Shares that a user chooses for a build.

    Args:
        val, test: shares of the images to draw for these splits, out of the images that state no split or "train".
        allow_missing: largest share in [0, 1] of the images, and of the captions, that may be unusable.

    Raises:
        UsageError: val and test leave nothing to train on.
    """

    val: float = 0.0
    test: float = 0.0
    allow_missing: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise UsageError(f"val and test are shares that leave some to train; given: {self.val}, {self.test}")

    @property
    def drawn(self) -> dict[str, float]:
        """{split: share} of the splits to draw."""
        return {name: share for name, share in (("val", self.val), ("test", self.test)) if share}

    def draw(self, names: Iterable[str]) -> dict[str, str]:
        """{name: "train", "val" or "test"} by a hash of each name; a name's split does not depend on the other names.

        Except that the name with the lowest hash becomes a split's only one if it would have none, so that few images
        have all their splits, and that one stays to train.
        """
        places = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in names}
        split_of_name = {
            name: "test" if place < self.test else "val" if place < self.test + self.val else "train"
            for name, place in places.items()
        }
        for split in ("test", "val"):
            to_train = [name for name in places if split_of_name[name] == "train"]
            if split in self.drawn and split not in split_of_name.values() and len(to_train) > 1:
                split_of_name[min(to_train, key=places.__getitem__)] = split
        return split_of_name


def split_of(name: str) -> str | None:
    """The table's split that a name means ("Validation " -> "val"), or None."""
    return SPLIT_OF.get(name.strip().lower())


def split_in(name: str) -> str:
    """The part of a file name that states a split: "f30k-train-0003" -> "train"; "" if none does, or two disagree."""
    parts = {part for part in re.split(r"[^A-Za-z]+", name) if split_of(part)}
    return parts.pop() if len({split_of(part) for part in parts}) == 1 else ""


def with_split(record: Record, stated: str) -> Record:
    """The record with the split that its folder or file states; a split of its own row takes precedence."""
    return record if record.split or not stated else replace(record, split=stated)
