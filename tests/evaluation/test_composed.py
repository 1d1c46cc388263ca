"""Composed metrics against plain loops: several targets, parts of the gallery, ties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation import composed
from raytrain.evaluation.composed import composed_metrics, evaluate_composed, query_ranks, r_precision


def made(queries: int, items: int, seed: int, values: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, values, (queries, items), generator=generator).float() - values
    relevant = torch.rand(queries, items, generator=generator) < 0.3
    candidates = torch.rand(queries, items, generator=generator) < 0.8
    return scores, relevant, candidates


def by_hand(scores: list[float], relevant: list[bool], candidates: list[bool]) -> tuple[int, float, float]:
    """(rank, R-precision, AP@R) of one query; -1 and NaN without a target."""
    order = sorted((i for i in range(len(scores)) if candidates[i]), key=lambda i: (scores[i], i), reverse=True)
    targets = sum(relevant[i] for i in order)
    if not targets:
        return -1, float("nan"), float("nan")
    rank = next(place for place, i in enumerate(order) if relevant[i])
    hits, total = 0, 0.0
    for place, i in enumerate(order[:targets], start=1):
        if relevant[i]:
            hits += 1
            total += hits / place
    return rank, hits / targets, total / targets


@given(queries=st.integers(1, 7), items=st.integers(1, 12), seed=st.integers(0, 10_000), chunk=st.sampled_from([1, 25]))
@settings(max_examples=60, deadline=None)
def test_ranks_and_precision_equal_a_sort_of_the_candidates(queries: int, items: int, seed: int, chunk: int) -> None:
    scores, relevant, candidates = made(queries, items, seed)
    expected = [by_hand(*row) for row in zip(scores.tolist(), relevant.tolist(), candidates.tolist(), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composed, "CHUNK_ELEMENTS", chunk)
        found = query_ranks(scores, relevant & candidates, candidates)
        precision, average = r_precision(scores, relevant, candidates)
    assert found.tolist() == [rank for rank, _, _ in expected]
    torch.testing.assert_close(precision, torch.tensor([p for _, p, _ in expected]).double(), equal_nan=True)
    torch.testing.assert_close(average, torch.tensor([a for _, _, a in expected]).double(), equal_nan=True)


def test_metrics_are_means_over_queries_with_a_target() -> None:
    scores, relevant, candidates = made(40, 80, 0, values=10_000)
    relevant[:3] = False
    metrics = composed_metrics(scores, relevant, candidates)
    expected = [by_hand(*row) for row in zip(scores.tolist(), relevant.tolist(), candidates.tolist(), strict=True)]
    answered = [one for one in expected if one[0] >= 0]
    assert len(answered) == 37
    for k in (1, 10, 50):
        assert metrics[f"recall_at_{k}"] == pytest.approx(100 * sum(rank < k for rank, _, _ in answered) / 37)
    assert metrics["rsum"] == pytest.approx(sum(metrics[f"recall_at_{k}"] for k in (1, 10, 50)))
    assert metrics["r_precision"] == pytest.approx(100 * sum(p for _, p, _ in answered) / 37)
    assert metrics["map_at_r"] == pytest.approx(100 * sum(a for _, _, a in answered) / 37)
    assert metrics["median_rank"] == sorted(rank for rank, _, _ in answered)[18] + 1


def test_a_collapsed_model_does_not_profit_from_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    relevant = torch.zeros(400, 100, dtype=torch.bool)
    relevant[torch.arange(400), torch.randint(0, 100, (400,), generator=generator)] = True
    metrics = composed_metrics(torch.zeros(400, 100), relevant, torch.ones_like(relevant))
    assert metrics["recall_at_10"] == pytest.approx(10, abs=4)
    assert metrics["pessimistic_rsum"] == 0
    assert metrics["tied_percent"] > 90


def test_a_result_says_its_gallery_its_denominator_and_what_is_left_out() -> None:
    scores, relevant, candidates = made(20, 30, 1)
    relevant[0] = False
    result = evaluate_composed(scores, relevant, candidates, torch.arange(20) // 2, "composed/multi")
    assert result.queries == {"query": 19}
    assert result.gallery == {"query": int(candidates.sum(1).max())}
    assert any("1 queries have no target" in note for note in result.notes)
    assert result.ranks["query"][0] == -1
    assert result.groups["reference"].tolist() == (torch.arange(20) // 2).tolist()
    with pytest.raises(UsageError, match="composed/multi"):
        evaluate_composed(scores, relevant, candidates, torch.arange(20), "coco/5k")
