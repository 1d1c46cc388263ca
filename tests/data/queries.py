"""A small table of composed queries, made in the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.triplets import Query, to_tables
from raytrain.data.table import Table
from raytrain.data.table.schema import QUERIES
from raytrain.data.table.writer import TableWriter

HERE = SourceLocation("made.json", 0)

ITEMS = [
    Item(f"i{n}", f"{n}.jpg", split, group=f"g{n % 2}")
    for n, split in enumerate(["train"] * 4 + ["val"] * 4 + ["test"] * 2)
]

QUERIES_MADE = [
    Query("q0", "val", "i6", ["redder", "more red"], ["i4"], HERE),
    Query("q1", "train", "i2", ["bluer"], ["i0"], HERE),
    Query("q2", "val", "i5", ["larger"], ["i7"], HERE, subset=["i7", "i5"]),
    Query("q3", "val", "i6", ["smaller"], ["i4"], HERE),
    Query("q4", "test", "i9", ["rounder"], [], HERE),
]


def query_table(path: Path, gallery: Any = "group", **changes: list[Any]) -> Table:
    """The table of the queries above; changes replace columns of queries.arrow."""
    items, texts, queries = to_tables(ITEMS, QUERIES_MADE)
    columns = queries.to_pydict() | changes
    with TableWriter(path, {"name": "made up"}) as writer:
        writer.write(items, texts, pa.table(columns, schema=QUERIES), gallery)
    return Table(path)
