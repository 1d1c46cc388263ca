from __future__ import annotations

import math

import pytest
import torch

from raytrain.losses import multi_grained_loss
from raytrain.losses.multi_grained import blurred
from tests.losses.test_contrastive import info_nce_by_hand


def spread_by_hand(values: list[float]) -> tuple[float, float]:
    """(mean, standard deviation with n - 1)"""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def dots(left: list[list[float]], right: list[list[float]]) -> list[list[float]]:
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in right] for x in left]


def test_blurring_equals_the_published_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64)
    actual = blurred(targets, noise)
    for i, row in enumerate(targets.tolist()):
        mean, spread = spread_by_hand(row)
        biased = spread**2 * 5 / 6
        for d, value in enumerate(row):
            alpha, beta = 1 + spread * noise[0, i, d].item(), mean + spread * noise[1, i, d].item()
            expected = alpha * (value - mean) / math.sqrt(biased + 1e-5) + beta
            assert actual[i, d].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_multi_grained_equals_the_published_sums(progress: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, targets, blur = torch.randn(3, 4, 6, generator=generator, dtype=torch.float64)
    _, spread = spread_by_hand(blur.flatten().tolist())
    coarse = 0.5 * (math.exp(-spread) * info_nce_by_hand(dots(query.tolist(), blur.tolist()), 1.0) + spread)
    fine = info_nce_by_hand(dots(query.tolist(), targets.tolist()), 1.0)
    gamma = math.exp(-progress)
    assert multi_grained_loss(query, targets, blur, progress).item() == pytest.approx(
        gamma * coarse + (1 - gamma) * fine, rel=1e-12
    )


def test_gradients_reach_query_and_targets_and_stay_finite_at_equal_numbers() -> None:
    query = torch.ones(4, 6, requires_grad=True)
    targets = torch.ones(4, 6, requires_grad=True)
    blur = blurred(targets, torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0)))
    for gradient in torch.autograd.grad(
        multi_grained_loss(query, targets, blur + 0.1 * targets, 0.3), (query, targets)
    ):
        assert torch.isfinite(gradient).all()
