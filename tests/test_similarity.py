from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.similarity import cosine, pool_views, view_similarity


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def test_view_similarity_is_the_cosine_with_each_view() -> None:
    query, gallery = unit(3, 8), unit(4, 5, 8, seed=1)
    found = view_similarity(query, gallery)
    for q in range(3):
        for g in range(4):
            for k in range(5):
                expected = sum(a * b for a, b in zip(query[q].tolist(), gallery[g, k].tolist(), strict=True))
                assert found[q, g, k].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("score", ["max", "mean", "log_mean_exp", "learned"])
def test_pooled_views_equal_plain_sums(score: str) -> None:
    views = view_similarity(unit(3, 8), unit(4, 5, 8, seed=1))
    weights = torch.softmax(torch.arange(5.0, dtype=torch.float64), 0)
    found = pool_views(views, score, 16.0, weights)
    for q in range(3):
        for g in range(4):
            s = views[q, g].tolist()
            expected = {
                "max": max(s),
                "mean": sum(s) / 5,
                "log_mean_exp": math.log(sum(math.exp(16 * x) for x in s) / 5) / 16,
                "learned": sum(w * x for w, x in zip(weights.tolist(), s, strict=True)),
            }[score]
            assert found[q, g].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("score", ["max", "mean", "log_mean_exp"])
def test_one_view_is_its_own_score(score: str) -> None:
    query, gallery = unit(3, 8), unit(4, 8, seed=1)
    torch.testing.assert_close(pool_views(view_similarity(query, gallery[:, None]), score), cosine(query, gallery))


def test_log_mean_exp_is_finite_at_large_scales_in_half_precision() -> None:
    views = torch.ones(2, 2, 4, dtype=torch.bfloat16)
    assert torch.isfinite(pool_views(views, "log_mean_exp", 200.0)).all()


def test_an_unknown_score_shows_the_scores() -> None:
    with pytest.raises(ValueError, match="max, mean, log_mean_exp and learned"):
        pool_views(torch.zeros(1, 1, 1), "median")
