from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.losses import view_orthogonality
from raytrain.losses.orthogonality import mean_overlap, sibling_cosine


def by_hand(views: list[list[list[float]]], penalty: str, gamma: float) -> float:
    total = 0.0
    for v in views:
        k = range(len(v))
        g = [[sum(a * b for a, b in zip(v[i], v[j], strict=True)) for j in k] for i in k]
        off = [g[i][j] for i in k for j in k if i != j]
        total += {
            "square": sum(x * x for x in off) / len(off),
            "abs": sum(abs(x) for x in off) / len(off),
            "frobenius": math.sqrt(sum((g[i][j] - (i == j)) ** 2 for i in k for j in k)),
            "margin": sum(max(0.0, abs(x) - gamma) for x in off) / len(off),
        }[penalty]
    return total / len(views)


@pytest.mark.parametrize("penalty", ["square", "abs", "frobenius", "margin"])
def test_the_penalty_equals_its_formula(penalty: str) -> None:
    generator = torch.Generator().manual_seed(0)
    views = normalize(torch.randn(3, 4, 6, generator=generator, dtype=torch.float64), dim=-1)
    actual = view_orthogonality(views, penalty, 0.2)
    assert actual.item() == pytest.approx(by_hand(views.tolist(), penalty, 0.2), rel=1e-9)


@pytest.mark.parametrize("penalty", ["square", "abs", "frobenius", "margin"])
@pytest.mark.parametrize(
    "views", [torch.ones(2, 1, 3), torch.eye(3)[None].repeat(2, 1, 1), torch.ones(2, 4, 3) / 3**0.5]
)
def test_gradients_are_finite_for_one_view_orthogonal_and_equal_views(penalty: str, views: torch.Tensor) -> None:
    views = views.clone().requires_grad_()
    loss = view_orthogonality(views, penalty)
    loss.backward()
    assert views.grad is not None
    assert torch.isfinite(views.grad).all()
    if views.shape[1] != 4:
        assert loss.item() == pytest.approx(0, abs=1e-5)


def test_overlap_is_one_for_equal_views_and_carries_no_gradient() -> None:
    views = (torch.ones(2, 3, 4) / 2).requires_grad_()
    overlap = mean_overlap(views)
    assert overlap.item() == pytest.approx(1)
    assert not overlap.requires_grad


def test_sibling_cosine_averages_pairs_of_one_image() -> None:
    texts = normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=-1)
    assert sibling_cosine(texts, torch.tensor([0, 0, 1])).item() == pytest.approx(math.sqrt(0.5))
    assert sibling_cosine(texts, torch.tensor([0, 1, 2])).item() == 0
