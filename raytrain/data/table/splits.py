"""Opening a split of either kind of table: images and captions, or composed queries."""

from __future__ import annotations

from raytrain.data.table.queries import QuerySplit
from raytrain.data.table.table import Split, Table

AnySplit = Split | QuerySplit


def open_split(table: Table, name: str, allow_test: bool = False) -> AnySplit:
    """The split of a table: a QuerySplit if it has composed queries, else a Split.

    Raises:
        RefusedError: the test split, during training or without `allow_test`.
        UsageError: the split does not exist.
    """
    return table.split(name, allow_test) if table.queries is None else QuerySplit(table, name, allow_test)
