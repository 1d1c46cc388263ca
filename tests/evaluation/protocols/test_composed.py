"""Composed metrics against plain loops: several targets, parts of the gallery, ties, blocks that do not divide."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.protocols import composed
from raytrain.evaluation.protocols.composed import ComposedQueries, answers, evaluate_composed
from raytrain.evaluation.protocols.relevance import padded
from tests.evaluation.oracles import blocks_of, losing_ties, ordered, precisions, rank


def made(queries: int, items: int, parts: int, seed: int, values: int = 6) -> tuple[Tensor, ComposedQueries]:
    """Few different scores; targets anywhere, so that some are in another part, the reference itself, or none."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, values, (queries, items), generator=generator).float() - values
    reference = torch.randint(0, items, (queries,), generator=generator)
    targets = torch.rand(queries, items, generator=generator) < 0.3
    part = torch.randint(0, parts, (items,), generator=generator)
    nothing = torch.full((queries, 1), -1)
    names = [str(at) for at in range(max(queries, items, parts))]
    listed = padded([row.nonzero()[:, 0].tolist() for row in targets])
    return scores, ComposedQueries(reference, listed, nothing, part, names[:parts], names[:queries], names[:items])


def by_hand(scores: Tensor, query_set: ComposedQueries, query: int) -> tuple[int, int, float, float]:
    """(rank, rank when ties lose, R-precision, AP@R) of one query; -1 and NaN without a target."""
    reference, part = int(query_set.reference[query]), query_set.part.tolist()
    among = [at for at in range(len(part)) if part[at] == part[reference] and at != reference]
    targets = {at for at in query_set.targets[query].tolist() if at in among}
    order = ordered(scores[query].tolist(), set(range(len(part))) - set(among))
    mine = [float(scores[query, at]) for at in among]
    worst = losing_ties(mine, {among.index(at) for at in targets})
    return rank(order, targets), worst, *precisions(order, targets)


@given(
    queries=st.integers(1, 7),
    items=st.integers(1, 12),
    parts=st.integers(1, 3),
    seed=st.integers(0, 10_000),
    block=st.sampled_from([1, 25, 10_000]),
)
@settings(max_examples=100, deadline=None)
def test_ranks_and_precision_equal_a_sort_of_the_candidates(
    queries: int, items: int, parts: int, seed: int, block: int
) -> None:
    scores, query_set = made(queries, items, parts, seed)
    expected = [by_hand(scores, query_set, query) for query in range(queries)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composed, "BLOCK_ELEMENTS", block)
        result = answers(blocks_of(scores.clone()), query_set)
    assert result.counts.ranks().tolist() == [values_of_query[0] for values_of_query in expected]
    assert result.counts.ranks("pessimistic").tolist() == [values_of_query[1] for values_of_query in expected]
    for values, wanted in ((result.r_precision, 2), (result.average_precision, 3)):
        torch.testing.assert_close(
            values, torch.tensor([values_of_query[wanted] for values_of_query in expected]).double(), equal_nan=True
        )


def test_metrics_are_means_over_queries_with_a_target() -> None:
    scores, query_set = made(40, 80, 2, 0, values=10_000)
    query_set.targets[:3] = -1
    metrics = answers(blocks_of(scores.clone()), query_set).metrics()
    answered = [
        query_values
        for query_values in (by_hand(scores, query_set, query) for query in range(40))
        if query_values[0] >= 0
    ]
    assert len(answered) == 37
    for k in (1, 10, 50):
        assert metrics[f"recall_at_{k}"] == pytest.approx(
            100 * sum(query_values[0] < k for query_values in answered) / 37
        )
    assert metrics["rsum"] == pytest.approx(sum(metrics[f"recall_at_{k}"] for k in (1, 10, 50)))
    assert metrics["r_precision"] == pytest.approx(100 * sum(query_values[2] for query_values in answered) / 37)
    assert metrics["map_at_r"] == pytest.approx(100 * sum(query_values[3] for query_values in answered) / 37)
    assert metrics["median_rank"] == sorted(query_values[0] for query_values in answered)[18] + 1


def test_a_collapsed_model_does_not_profit_from_ties() -> None:
    _, query_set = made(400, 101, 1, 0)
    targets = torch.randint(0, 100, (400, 1), generator=torch.Generator().manual_seed(0))
    collapsed = ComposedQueries(torch.full((400,), 100), targets, targets, query_set.part, [""], [], query_set.item_ids)
    metrics = answers(blocks_of(torch.zeros(400, 101)), collapsed).metrics()
    assert metrics["recall_at_10"] == pytest.approx(10, abs=4)
    assert metrics["pessimistic_rsum"] == 0
    assert metrics["tied_percent"] == 100


def test_a_result_says_its_gallery_its_denominator_and_what_is_left_out() -> None:
    scores, query_set = made(20, 30, 2, 1)
    query_set.targets[0] = -1
    result = evaluate_composed(blocks_of(scores), query_set, "composed/multi")
    assert result.queries == {"query": 19}
    assert result.gallery == {"query": int(torch.bincount(query_set.part).max()) - 1}
    assert any("1 queries have no target" in note for note in result.notes)
    assert result.ranks["query"][0] == -1
    assert result.groups["reference"].tolist() == query_set.reference.tolist()
    with pytest.raises(UsageError, match="composed/multi"):
        evaluate_composed(blocks_of(scores), query_set, "coco/5k")
