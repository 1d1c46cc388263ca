"""The columns of a table, which old tables on disk have too."""

from __future__ import annotations

from raytrain.data.table.schema import ITEMS, QUERIES, SCHEMA_VERSION, SPLITS, TEXTS


def test_the_columns_of_version_1_do_not_change() -> None:
    """Tables that exist have these columns: another one needs another SCHEMA_VERSION, and code that reads both."""
    assert SCHEMA_VERSION == 1
    columns = [{field.name: str(field.type) for field in schema} for schema in (ITEMS, TEXTS, QUERIES)]
    assert columns == [
        {"id": "string", "file": "string", "split": "string", "group": "string", "attribution": "string"},
        {"id": "string", "item": "int32", "text": "string", "tokens": "list<item: string>"},
        {"id": "string", "split": "string", "reference": "int32", "text": "int32", "phrasings": "int32",
         "targets": "list<item: int32>", "subset": "list<item: int32>"},
    ]  # fmt: skip


def test_splits_are_in_the_order_in_which_later_ones_must_not_leak_into_earlier_ones() -> None:
    assert SPLITS == ("train", "val", "test")
