"""The discrepancy of two clouds of elements against its published sums, and gradients where elements are equal."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.losses import discrepancy_loss


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def kernel_by_hand(x: list[list[float]], y: list[list[float]], gamma: float) -> float:
    return sum(math.exp(-gamma * math.dist(p, q)) for p in x for q in y) / (len(x) * len(y))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (3, 30)])
def test_discrepancy_equals_the_published_sums(n: int, m: int, gamma: float) -> None:
    x, y = unit(n, 8), unit(m, 8, seed=1)
    a, b = x.tolist(), y.tolist()
    expected = kernel_by_hand(a, a, gamma) - 2 * kernel_by_hand(a, b, gamma) + kernel_by_hand(b, b, gamma)
    # the distance of an element to itself comes from a matrix product
    assert discrepancy_loss(x, y, gamma).item() == pytest.approx(expected, abs=1e-6)


def test_opposite_clouds_cost_twice_what_the_kernel_loses_between_them() -> None:
    x = unit(1, 8)
    assert discrepancy_loss(x, -x).item() == pytest.approx(2 - 2 * math.exp(-1))


def test_autocast_changes_no_digit() -> None:
    x, y = unit(5, 8).float(), unit(7, 8, seed=1).float()
    plain = discrepancy_loss(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(discrepancy_loss(x, y), plain)


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_elements_have_no_discrepancy_and_a_finite_gradient(count: int, dtype: torch.dtype) -> None:
    x = unit(1, 8).expand(count, 8).to(dtype).requires_grad_()
    loss = discrepancy_loss(x, x.detach())
    (slope,) = torch.autograd.grad(loss, x)
    assert loss.item() == pytest.approx(0, abs=2e-3)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() < 1e-2
