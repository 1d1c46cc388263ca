"""Composed queries as positions in their split, and their scores block by block."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import QuerySplit, Table
from raytrain.data.table.description import fingerprint_of
from raytrain.evaluation.protocols import composed as composed_protocol
from raytrain.scoring.composed_queries import blocks_of, composed_queries
from tests.scoring.dot import Dot, embeddings
from tests.tables import make_query_table, redescribe


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_query_table(tmp_path_factory.mktemp("queries") / "table")


def test_queries_are_positions_in_their_own_split(queries: Table) -> None:
    """Rows of the table become positions among the 30 images of the split."""
    val = QuerySplit(queries, "val")
    positions = composed_queries(val)
    assert queries.queries is not None
    annotated = queries.queries.take(val.rows).to_pylist()
    row_of = val.items.tolist()
    assert len(row_of) == 30 and len(annotated) == 60
    assert positions.query_ids == [query["id"] for query in annotated]
    assert positions.item_ids == [queries.items["id"][row].as_py() for row in row_of]
    for reference, targets, query in zip(positions.reference, positions.targets, annotated, strict=True):
        assert row_of[int(reference)] == query["reference"]
        assert [row_of[int(target)] for target in targets] == query["targets"]
    assert positions.subset.shape[0] == 60 and (positions.subset == -1).all()  # this table has no subsets
    assert (list(positions.parts), positions.part.tolist()) == ([""], [0] * 30)


def test_a_gallery_by_group_is_cut_into_parts(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    fingerprint = fingerprint_of(table.description.files, {"gallery": "group"})
    redescribe(table.path, lambda description: description.update(gallery="group", fingerprint=fingerprint))
    table = Table(table.path)
    positions = composed_queries(QuerySplit(table, "val"))
    assert list(positions.parts) == ["g0", "g1", "g2", "g3", "g4"]
    groups = table.items["group"].take(QuerySplit(table, "val").items).to_pylist()
    assert [positions.parts[part] for part in positions.part] == groups


def test_lists_of_different_length_are_filled_up_with_minus_one(queries: Table) -> None:
    val = QuerySplit(queries, "val")
    whole = composed_queries(val).targets
    val.target_offsets = val.target_offsets.copy()
    val.target_offsets[1:] -= 1  # the first query has lost its last target
    val.targets = val.targets[1:]
    cut = composed_queries(val).targets
    assert cut[0].tolist() == [int(whole[0, 1]), -1]
    assert torch.equal(cut[1:], whole[1:])


@pytest.mark.parametrize("elements", [1, 100, 10**9])
def test_blocks_hold_the_scores_of_the_matrix(elements: int, queries: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composed_protocol, "BLOCK_ELEMENTS", elements)
    query, gallery = embeddings(QuerySplit(queries, "val"))
    blocks = blocks_of(Dot(), query, gallery, memory_mib=1.0)
    rows, columns = torch.tensor([5, 0, 41, 7]), torch.tensor([2, 29])
    for some in (columns, None):
        chunks, scores = zip(*blocks(rows, some), strict=True)
        assert torch.cat(chunks).tolist() == rows.tolist()
        expected = (query @ gallery.T)[rows] if some is None else (query @ gallery.T)[rows][:, some]
        torch.testing.assert_close(torch.cat(scores), expected)
    assert len(list(blocks(rows, columns))) == (4 if elements == 1 else 1)
