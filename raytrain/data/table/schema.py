"""The columns of a table's files."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 1


ITEMS = pa.schema(
    [
        ("id", pa.string()),
        ("file", pa.string()),  # relative to the image root; empty where only features are known
        ("split", pa.string()),
        ("group", pa.string()),  # class or family; empty where the source has none
        ("attribution", pa.string()),  # credit the licence asks for; empty where the source has none
    ]
)


TEXTS = pa.schema(
    [
        ("id", pa.string()),
        ("item", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.list_(pa.string())),
    ]
)


SPLITS = ("train", "val", "test")


QUERIES = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("reference", pa.int32()),  # row of items
        ("text", pa.int32()),  # row of texts: the one that is evaluated
        ("phrasings", pa.int32()),  # rows text .. text + phrasings - 1 ask for the same; training may draw one
        ("targets", pa.list_(pa.int32())),  # rows of items, all of them right; empty where they are not published
        ("subset", pa.list_(pa.int32())),  # rows of items ranked among themselves as well; empty where there is none
    ]
)


Gallery = Literal["split", "group"]
