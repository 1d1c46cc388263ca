"""Rows of a table as a source gathers them, before they become Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from raytrain.data.table import ITEMS, TEXTS
from raytrain.data.words import tokenize


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
