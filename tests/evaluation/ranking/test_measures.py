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
from raytrain.evaluation.ranking.measures import Measures, hits, precision_at_r
from raytrain.evaluation.significance import mean_intervals
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
    for found, wanted in zip(precision_at_r(scores, padded(positives)), zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), equal_nan=True)


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
        found = precision_at_r(scores, positives, torch.tensor([number]))
        assert [float(one) for one in found] == pytest.approx(wanted)


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


def test_intervals_of_means_are_of_the_same_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    right = (torch.rand(300, generator=generator) < 0.4).double()
    right[:50] = math.nan
    values = {"yes": right, "no": 1 - right, "never": torch.full((300,), math.nan)}
    groups = dict.fromkeys(values, torch.arange(300) // 3)
    found = mean_intervals(values, groups, {"half": ["yes", "no"], "none": ["yes", "never"]})
    low, high = found["yes"]
    share = 100 * float(right[50:].mean())
    assert low < share < high
    assert high - low == pytest.approx(4 * math.sqrt(share * (100 - share) / 250), rel=0.25)
    assert found["half"] == pytest.approx((50, 50))  # what one gains in a draw the other loses
    assert found.keys() == {"yes", "no", "half"}
