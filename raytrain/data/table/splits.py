"""The split of a table, whatever the table holds."""

from __future__ import annotations

from raytrain.data.table.queries import QuerySplit
from raytrain.data.table.table import Split, Table

AnySplit = Split | QuerySplit


def open_split(table: Table, name: str, allow_test: bool = False) -> AnySplit:
    """A split of whatever the table holds."""
    return table.split(name, allow_test) if table.queries is None else QuerySplit(table, name, allow_test)
