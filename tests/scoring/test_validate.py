"""Metrics of a split as each epoch logs them, against plain loops, and the diagnostics of its embeddings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import QuerySplit, Table
from raytrain.errors import NonFiniteError
from raytrain.scoring.composed_queries import composed_queries
from raytrain.scoring.validate import diagnostics, validation_metrics
from tests.evaluation import oracles
from tests.scoring.dot import Dot, embeddings
from tests.tables import make_query_table


def test_metrics_of_captions_are_those_of_plain_loops(table: Table) -> None:
    val = table.split("val")
    query, gallery = embeddings(val)
    result = validation_metrics(Dot(), query, gallery, val, 64.0, keep_scores=True)
    scores, owner = (query @ gallery.T).tolist(), val.item_of_text.tolist()
    ranks = {
        "t2i": [oracles.rank(oracles.ordered(row), {own}) for row, own in zip(scores, owner, strict=True)],
        "i2t": [
            oracles.rank(
                oracles.ordered([row[item] for row in scores]), {m for m, own in enumerate(owner) if own == item}
            )
            for item in range(len(gallery))
        ],
    }
    assert result.ranks.tolist() == ranks["t2i"]
    for direction in ("i2t", "t2i"):
        for k in (1, 5, 10):
            expected = oracles.recall(ranks[direction], k)
            assert result.metrics[f"{direction}/recall_at_{k}"] == pytest.approx(expected)
    assert result.metrics["rsum"] == pytest.approx(
        sum(oracles.recall(ranks[direction], k) for direction in ranks for k in (1, 5, 10))
    )
    assert result.scores is not None
    torch.testing.assert_close(result.scores, query @ gallery.T)


def test_scores_are_kept_only_where_they_are_wanted_and_change_no_metric(table: Table) -> None:
    val = table.split("val")
    query, gallery = embeddings(val, seed=1)
    kept, dropped = (validation_metrics(Dot(), query, gallery, val, 64.0, keep) for keep in (True, False))
    assert kept.scores is not None and dropped.scores is None
    assert kept.metrics == dropped.metrics
    tight = validation_metrics(Dot(), query, gallery, val, 1e-6)
    assert tight.metrics == dropped.metrics


def test_metrics_of_composed_queries_leave_the_reference_out(tmp_path: Path) -> None:
    val = QuerySplit(make_query_table(tmp_path / "table"), "val")
    query, gallery = embeddings(val)
    result = validation_metrics(Dot(), query, gallery, val, 64.0, keep_scores=True)
    positions = composed_queries(val)
    ranks = []
    for row, reference, targets in zip(
        (query @ gallery.T).tolist(), positions.reference.tolist(), positions.targets.tolist(), strict=True
    ):
        ranks.append(oracles.rank(oracles.ordered(row, {reference}), set(targets)))
    assert result.ranks.tolist() == ranks
    for k in (1, 10, 50):
        assert result.metrics[f"recall_at_{k}"] == pytest.approx(oracles.recall(ranks, k))
    assert result.scores is None  # re-ranking is for captions


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_are_not_finite_are_an_error(value: float, table: Table) -> None:
    val = table.split("val")
    query, gallery = embeddings(val)
    query[3, 0] = value
    with pytest.raises(NonFiniteError, match="similarities are not finite"):
        validation_metrics(Dot(), query, gallery, val, 64.0)


def test_uncertain_queries_of_bad_ranks_correlate(table: Table) -> None:
    val = table.split("val")
    query, gallery = embeddings(val)
    ranks = torch.arange(len(query)) % 5
    name = "diagnostics/uncertainty_rank_correlation"
    assert diagnostics(Dot(), ranks, query, gallery, ranks.float(), val)[name] == pytest.approx(1)
    assert diagnostics(Dot(), ranks, query, gallery, -ranks.float(), val)[name] == pytest.approx(-1)
    assert diagnostics(Dot(), ranks, query, gallery, None, val) == {}  # single vectors, no uncertainty


def test_sets_are_described_unless_they_are_local_features(table: Table) -> None:
    val = table.split("val")
    query, gallery = (side[:, None].expand(-1, 3, -1) for side in embeddings(val))
    ranks = torch.zeros(len(query), dtype=torch.int64)
    numbers = diagnostics(Dot(), ranks, query, gallery, None, val)
    assert numbers["diagnostics/set_cosine"] == pytest.approx(1)  # three times the same vector
    assert numbers["diagnostics/effective_elements"] == pytest.approx(1)
    local = Dot()
    local.local_features = True
    assert diagnostics(local, ranks, query, gallery, None, val) == {}


def test_images_of_composed_queries_have_no_captions_to_be_compared_with(tmp_path: Path) -> None:
    val = QuerySplit(make_query_table(tmp_path / "table"), "val")
    query, gallery = (side[:, None].expand(-1, 2, -1) for side in embeddings(val))
    numbers = diagnostics(Dot(), torch.zeros(len(query), dtype=torch.int64), query, gallery, None, val)
    assert "diagnostics/set_cosine" in numbers
    assert "diagnostics/effective_elements" not in numbers
