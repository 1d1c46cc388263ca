"""Composed queries of a table, and their splits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raytrain.data.check.check import check
from raytrain.data.table import QuerySplit, Table
from raytrain.errors import RefusedError, UsageError
from tests.data.queries import query_table


def test_queries_read_back_in_their_order_with_texts_grouped_by_reference(tmp_path: Path) -> None:
    table = query_table(tmp_path / "t")
    assert table.splits["val"] == {"items": 4, "texts": 4, "queries": 3}
    assert table.texts["id"].to_pylist() == ["q1#0", "q2#0", "q0#0", "q0#1", "q3#0", "q4#0"]
    assert table.texts["item"].to_pylist() == [2, 5, 6, 6, 6, 9]
    val = QuerySplit(table, "val")
    assert len(val) == 3
    assert val.rows.tolist() == [0, 2, 3]
    assert val.items.tolist() == [4, 5, 6, 7]
    assert val.reference.tolist() == [2, 1, 2]
    assert [table.texts["text"][row].as_py() for row in val.text] == ["redder", "larger", "smaller"]
    assert val.phrasings.tolist() == [2, 1, 1]
    assert val.relevant().astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert [part.tolist() for part in np.split(val.subset, val.subset_offsets[1:-1])] == [[], [3, 1], []]
    assert val.candidates().astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert check(table.path, None, images=False) == []


def test_a_gallery_that_is_whole_has_one_part(tmp_path: Path) -> None:
    assert QuerySplit(query_table(tmp_path / "t", "split"), "val").candidates().sum(1).tolist() == [3, 3, 3]
    assert query_table(tmp_path / "u", "group").fingerprint != Table(tmp_path / "t").fingerprint


def test_the_test_split_is_closed_and_has_no_targets(tmp_path: Path) -> None:
    table = query_table(tmp_path / "t")
    with pytest.raises(RefusedError, match="evaluate --split test"):
        QuerySplit(table, "test")
    test = QuerySplit(table, "test", allow_test=True)
    assert test.relevant().tolist() == [[False, False]]
    with pytest.raises(UsageError, match="Splits: train, val, test"):
        QuerySplit(table, "dev")


def test_a_table_of_images_and_captions_has_no_queries_and_its_files_know_nothing_of_them(table: Table) -> None:
    assert table.queries is None
    assert not (table.path / "queries.arrow").exists()
    with pytest.raises(UsageError, match="no composed queries"):
        QuerySplit(table, "val")
    description = json.loads((table.path / "table.json").read_text())
    assert "gallery" not in description
    assert all("queries" not in counts for counts in description["splits"].values())
    # as before there were queries: a changed fingerprint would set runs apart that belong together
    assert set(description["files"]) == {"items.arrow", "texts.arrow"}
    files = json.dumps(description["files"], sort_keys=True).encode()
    assert table.fingerprint == hashlib.sha256(files).hexdigest()


def test_the_fingerprint_covers_the_queries(tmp_path: Path) -> None:
    other = query_table(tmp_path / "u", targets=[[4], [0], [7], [6], []])
    assert query_table(tmp_path / "t").fingerprint != other.fingerprint


def test_offsets_of_lists_survive_several_chunks(tmp_path: Path) -> None:
    from raytrain.data.table.queries import lists

    column = pa.chunked_array([[[1, 2], []], [[3]]], pa.list_(pa.int32()))
    values, offsets = lists(column)
    np.testing.assert_array_equal(values, [1, 2, 3])
    np.testing.assert_array_equal(offsets, [0, 2, 2, 3])
