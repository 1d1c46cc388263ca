"""Rows of a table as a source gathers them, before they become Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from raytrain.data.annotations.records import SourceLocation
from raytrain.data.load.words import tokenize
from raytrain.data.paths import PATH_FIX
from raytrain.data.problems import Problems
from raytrain.data.storage import Presence, Root
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.schema import ITEMS, TEXTS
from raytrain.errors import Problem


@dataclass
class Item:
    """One image and its captions.

    Args:
        id: unique in the table.
        file: relative to the image root; empty where only features are known.
        split: "train", "val" or "test".
        texts: (id, caption) pairs.
        group: class or family, or empty.
        attribution: credit the licence asks for, or empty.
    """

    id: str
    file: str
    split: str
    texts: list[tuple[str, str]] = field(default_factory=list)
    group: str = ""
    attribution: str = ""


def to_arrow(items: Sequence[Item]) -> tuple[pa.Table, pa.Table]:
    """(items, texts) in the columns of a table; captions are tokenised here, alike for every source."""
    columns = {name: [getattr(item, name) for item in items] for name in ITEMS.names}
    texts = [(name, row, text) for row, item in enumerate(items) for name, text in item.texts]
    words: dict[str, str] = {}  # each word once: a copy a caption would be most of what a build holds
    return pa.table(columns, schema=ITEMS), pa.table(
        {
            "id": [name for name, _, _ in texts],
            "item": [row for _, row, _ in texts],
            "text": [text for _, _, text in texts],
            "tokens": [[words.setdefault(word, word) for word in tokenize(text)] for _, _, text in texts],
        },
        schema=TEXTS,
    )


def present_images(
    items: Sequence[Item], places: Mapping[str, SourceLocation], root: Root, missing: Missing, problems: Problems
) -> list[Item]:
    """Items whose image is there and has a good header; the others are added to `missing`.

    Problems of paths are added, and if more of the items than allowed are missing or broken, those.
    """
    present, told = [], Problems()
    presence = Presence(root)
    for item in items:
        place = places[item.id]
        kind, what = presence.fault(item.file)
        if kind == "path":
            problems.add("path", Problem(place.file, place.row, what, PATH_FIX))
        elif not kind:
            present.append(item)
        if kind in ("", "path"):
            continue
        what = f"image {root / item.file}: {what}" if kind == "broken" else what
        missing.add_image(item.id, item.split, len(item.texts), "broken" if kind == "broken" else "not found")
        fix = "Put the image there, or allow a share of missing images with allow_missing=SHARE."
        told.add("missing", Problem(place.file, place.row, what, fix))
    if exceeds(len(missing.ids), len(items), missing.allowed):
        problems.extend(told.list())
    return present
