"""Opening a split of either kind of table: images and captions, or composed queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.data.table.queries import QuerySplit
from raytrain.data.table.table import Split, Table
from raytrain.errors import UsageError, argument

AnySplit = Split | QuerySplit


def validation_facts(train: AnySplit, val: AnySplit) -> dict[str, Any]:
    """{"split", "queries", "gallery": sizes as in a Result, "trained": in words what of it is trained on, or None}.

    Of images with captions it looks for images that both splits have, by row or by file. Composed queries are compared
    themselves: published galleries share images between splits.
    """
    if isinstance(val, QuerySplit):
        count = int(np.isin(val.rows, train.rows).sum()) if isinstance(train, QuerySplit) else 0
        queries, gallery = {"query": len(val)}, {"query": int(np.bincount(val.item_part).max(initial=1)) - 1}
    else:
        names, trained_rows = val.table.items["file"], set(train.items.tolist())
        trained_files = set(names.take(pa.array(train.items)).to_pylist()) - {""}
        files = names.take(pa.array(val.items)).to_pylist()
        count = sum(row in trained_rows or file in trained_files for row, file in zip(val.items, files, strict=True))
        queries, gallery = {"i2t": len(val), "t2i": len(val.texts)}, {"i2t": len(val.texts), "t2i": len(val)}
    what = "queries" if isinstance(val, QuerySplit) else "images"
    trained = f"{count:,} of {len(val):,} {what}" if count else None
    return {"split": val.name, "queries": queries, "gallery": gallery, "trained": trained}


def refuse_too_small(split: AnySplit, parts: int) -> None:
    """Raises UsageError where a split cannot be embedded in so many parts, of an image and a query at least."""
    queries = ("queries", len(split)) if isinstance(split, QuerySplit) else ("captions", len(split.texts))
    for what, count in (("images", len(split.items)), queries):
        if count < parts:
            workers = f", fewer than the {parts} workers; give {argument('workers', max(count, 1))}" if count else ""
            raise UsageError(f"{split.table.path}: split '{split.name}' has {count} {what}{workers}")


def open_split(table: Table, name: str, allow_test: bool = False) -> AnySplit:
    """The split of a table: a QuerySplit if it has composed queries, else a Split.

    Raises:
        RefusedError: the test split, during training or without `allow_test`.
        UsageError: the split does not exist.
    """
    return table.split(name, allow_test) if table.queries is None else QuerySplit(table, name, allow_test)
