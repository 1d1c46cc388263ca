"""The columns of a table's files, and the names of its splits and galleries."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 1


ITEMS = pa.schema(
    [
        ("id", pa.string()),
        ("file", pa.string()),  # relative to the image root; empty if only features are known
        ("split", pa.string()),
        ("group", pa.string()),  # class or family; empty if the source has none
        ("attribution", pa.string()),  # credit the licence asks for; empty if the source has none
    ]
)


TEXTS = pa.schema(
    [
        ("id", pa.string()),
        ("item", pa.int32()),  # row of items
        ("text", pa.string()),
        ("tokens", pa.list_(pa.string())),  # words of the lower-cased text
    ]
)


SPLITS = ("train", "val", "test")


QUERIES = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("reference", pa.int32()),  # row of items
        ("text", pa.int32()),  # row of texts: the one that is evaluated
        ("phrasings", pa.int32()),  # number of texts with the same request, from row `text` on; training may draw one
        ("targets", pa.list_(pa.int32())),  # rows of all items that answer; empty if they are not published
        ("subset", pa.list_(pa.int32())),  # rows of items that are also ranked among themselves; empty if none
    ]
)


Gallery = Literal["split", "group"]
"""What a composed query is ranked against: all items of its split, or those of its reference's group."""
