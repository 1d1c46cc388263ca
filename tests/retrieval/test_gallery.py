"""Rows of a table as what is searched."""

from __future__ import annotations

import pytest
import torch

from raytrain.data.table import Table
from raytrain.data.table.test_guard import closed_while
from raytrain.errors import RefusedError, UsageError
from raytrain.retrieval.gallery import gallery_of, gallery_of_table, rows_of


def test_rows_are_those_of_a_split_without_the_missing(table: Table) -> None:
    assert rows_of(table, "images", None).tolist() == list(range(24))
    assert rows_of(table, "images", "val", ["i2"]).tolist() == [6, 10, 14, 18, 22]
    assert len(rows_of(table, "texts", "val")) == 30
    with pytest.raises(UsageError, match="no split 'dev'"):
        rows_of(table, "images", "dev")


def test_test_rows_are_closed_while_something_trains(table: Table) -> None:
    with closed_while("a run"):
        with pytest.raises(RefusedError, match="closed while a run trains"):
            rows_of(table, "images", None)
        assert len(rows_of(table, "images", "val")) == 6


def test_texts_of_composed_queries_are_no_captions(triplets: Table) -> None:
    with pytest.raises(UsageError, match="search its images"):
        rows_of(triplets, "texts", None)


def test_entries_carry_what_shows_them(table: Table) -> None:
    rows = rows_of(table, "images", "val")
    images = gallery_of_table(table, "images", rows, torch.zeros(6, 2))
    assert (images.ids[0], images.files[0], images.splits[0]) == ("i2", "2.jpg", "val")
    assert images.texts[0] == table.texts["text"][10].as_py()
    texts = gallery_of_table(table, "texts", rows_of(table, "texts", "val"), torch.zeros(30, 2))
    assert (texts.ids[0], texts.files[0], texts.texts[0]) == ("t10", "2.jpg", images.texts[0])
    assert gallery_of("texts", ["a", "b"], torch.zeros(2, 2)).ids == ["0", "1"]
