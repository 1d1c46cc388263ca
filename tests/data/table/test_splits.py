"""Opening a split of either kind of table."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.table import QuerySplit, Split, Table, open_split
from raytrain.data.table.splits import refuse_too_small, validation_facts
from raytrain.errors import RefusedError, UsageError
from tests.data.queries import query_table


def test_the_kind_of_split_is_that_of_the_table(table: Table, tmp_path: Path) -> None:
    captions, composed = open_split(table, "val"), open_split(query_table(tmp_path / "t"), "val")
    assert isinstance(captions, Split) and len(captions) == 6
    assert isinstance(composed, QuerySplit) and len(composed) == 3


@pytest.mark.parametrize("composed", [False, True])
def test_test_is_closed_and_other_names_are_refused_in_both(composed: bool, table: Table, tmp_path: Path) -> None:
    opened = query_table(tmp_path / "t") if composed else table
    with pytest.raises(RefusedError, match="evaluate --split test"):
        open_split(opened, "test")
    assert open_split(opened, "test", allow_test=True).name == "test"
    with pytest.raises(UsageError, match="no split 'dev'"):
        open_split(opened, "dev", allow_test=True)


def test_validation_facts_are_sizes_and_what_is_trained_on(table: Table, tmp_path: Path) -> None:
    train, val = table.split("train"), table.split("val")
    assert validation_facts(train, val) == {
        "split": "val", "queries": {"i2t": 6, "t2i": 30}, "gallery": {"i2t": 30, "t2i": 6}, "trained": None,
    }  # fmt: skip
    assert validation_facts(train, train)["trained"] == "12 of 12 images"
    queries = query_table(tmp_path / "t")
    composed = {name: QuerySplit(queries, name) for name in ("train", "val")}
    facts = validation_facts(composed["train"], composed["val"])
    assert facts["queries"] == {"query": 3} and facts["trained"] is None
    assert validation_facts(composed["val"], composed["val"])["trained"] == "3 of 3 queries"


def test_a_split_with_fewer_rows_than_ranks_is_refused_before_training(table: Table, tmp_path: Path) -> None:
    refuse_too_small(table.split("val"), 6)
    with pytest.raises(UsageError, match=r"split 'val' has 6 images, fewer than the 7 workers; give workers=6"):
        refuse_too_small(table.split("val"), 7)
    queries = QuerySplit(query_table(tmp_path / "t"), "val")
    with pytest.raises(UsageError, match="has 3 queries"):
        refuse_too_small(queries, 4)
    queries.rows = queries.rows[:0]
    with pytest.raises(UsageError, match=r"has 0 queries$"):
        refuse_too_small(queries, 1)


def test_an_image_that_two_splits_name_is_trained_on(table: Table) -> None:
    train, val = table.split("train"), table.split("val")
    files = table.items["file"].to_pylist()
    files[val.items[0]] = files[train.items[3]]
    files[val.items[1]] = files[train.items[0]] = ""  # no image is known, which is no image in common
    shared = Table(table.path)
    shared.items = table.items.set_column(1, "file", [files])
    assert validation_facts(Split(shared, "train"), Split(shared, "val"))["trained"] == "1 of 6 images"
