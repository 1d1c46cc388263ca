"""Ranks, the best k and precisions at R of several positives against sorted lists: ties, empty lists, one query."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.evaluation.protocols.relevance import padded
from raytrain.evaluation.ranking.counts import best_first, positive_counts
from raytrain.evaluation.ranking.measures import Measures, PerQueryMeasures, hits, precision_at_r
from tests.evaluation.oracles import losing_ties, ordered, precisions, rank

SIZES = {"queries": st.integers(1, 6), "items": st.integers(1, 14), "values": st.integers(1, 8)}


def made(queries: int, items: int, values: int, seed: int) -> tuple[Tensor, list[list[int]]]:
    """Scores of few different values, -inf among them, and positives of which some queries have none."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, values, (queries, items), generator=generator).float() - 1
    scores[scores < 0] = -torch.inf
    chosen = torch.rand(queries, items, generator=generator) < torch.rand(queries, 1, generator=generator)
    return scores, [row.nonzero()[:, 0].tolist() for row in chosen]


@given(**SIZES, seed=st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_ranks_and_precisions_equal_those_of_sorted_lists(queries: int, items: int, values: int, seed: int) -> None:
    scores, positives = made(queries, items, values, seed)
    orders = [ordered(row) for row in scores.tolist()]
    counts = positive_counts(scores, padded(positives))
    assert counts.ranks().tolist() == [rank(*pair) for pair in zip(orders, positives, strict=True)]
    assert counts.ranks("pessimistic").tolist() == [
        losing_ties(*pair) for pair in zip(scores.tolist(), positives, strict=True)
    ]
    expected = [precisions(*pair) for pair in zip(orders, positives, strict=True)]
    for actual, wanted in zip(precision_at_r(scores, padded(positives)), zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(actual, torch.tensor(wanted, dtype=torch.float64), equal_nan=True)


@given(**SIZES, seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_best_k_are_the_first_k_of_a_sort(
    queries: int, items: int, values: int, seed: int, data: st.DataObject
) -> None:
    scores, _ = made(queries, items, values, seed)
    k = data.draw(st.integers(1, items))
    assert best_first(scores, k).tolist() == [ordered(row)[:k] for row in scores.tolist()]


def test_positives_outside_the_gallery_are_missed() -> None:
    scores, positives = torch.tensor([[0.9, 0.1, 0.8]]), torch.tensor([[0, 2]])
    for number, wanted in ((2, (1.0, 1.0)), (3, (2 / 3, 2 / 3)), (4, (1 / 2, 1 / 2))):  # more than there are items, too
        actual = precision_at_r(scores, positives, torch.tensor([number]))
        assert [float(value) for value in actual] == pytest.approx(wanted)


def test_equal_scores_at_the_edge_are_taken_from_behind() -> None:
    assert best_first(torch.tensor([[1.0, 2.0, 1.0, 1.0, 0.0]]), 3).tolist() == [[1, 3, 2]]
    assert best_first(torch.zeros(2, 5), 2).tolist() == [[4, 3], [4, 3]]


def test_nan_has_no_rank() -> None:
    with pytest.raises(ValueError, match="NaN"):
        positive_counts(torch.tensor([[0.0, math.nan]]), torch.tensor([[0]]))


def test_metrics_are_means_over_those_that_have_a_say_and_means_of_means() -> None:
    ranks_of = torch.tensor([0, 3, -1, 12])
    values = {"a": hits(ranks_of, 1), "b": hits(ranks_of, 10), "never": hits(torch.tensor([-1]), 1)}
    measures = Measures(values, {}, {"both": ["a", "b"], "none": ["a", "never"]})
    assert measures.metrics() == pytest.approx({"a": 100 / 3, "b": 200 / 3, "both": 50})


def test_blocks_of_queries_give_what_all_queries_give_at_once() -> None:
    scores, positives = made(9, 14, 4, seed=3)
    listed = padded(positives)
    whole, blocks, ranks_only = PerQueryMeasures(), PerQueryMeasures(), PerQueryMeasures(precision=False)
    whole.add(scores, listed)
    for first in range(0, 9, 4):
        blocks.add(scores[first : first + 4], listed[first : first + 4])
        ranks_only.add(scores[first : first + 4], listed[first : first + 4])
    orders = [ordered(row) for row in scores.tolist()]
    ranks = [rank(*pair) for pair in zip(orders, positives, strict=True)]
    assert blocks.ranks().tolist() == whole.ranks().tolist() == ranks
    assert whole.measures((1, 3)).keys() == {"recall_at_1", "recall_at_3", "r_precision", "map_at_r", "tied_percent"}
    assert ranks_only.measures((1, 3)).keys() == {"recall_at_1", "recall_at_3", "tied_percent"}
    for name, values in whole.measures((1, 3)).items():
        torch.testing.assert_close(blocks.measures((1, 3))[name], values, equal_nan=True)
    tied = whole.measures((1,))["tied_percent"]
    for query, (row, several) in enumerate(zip(scores.tolist(), positives, strict=True)):
        best = max((row[item] for item in several), default=None)
        others = [score for item, score in enumerate(row) if item not in several]
        assert math.isnan(tied[query]) if best is None else tied[query] == (best in others)
