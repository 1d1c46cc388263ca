"""Distances of diagonal Gaussians against integrals over one dimension, sums over several, and their edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.losses import bhattacharyya, gaussian_mmd, symmetric_divergence

DISTANCES: list[Callable[..., Tensor]] = [symmetric_divergence, bhattacharyya, gaussian_mmd]
GRID = np.linspace(-30, 30, 1201)
STEP = GRID[1] - GRID[0]


def density(mean: float, log_variance: float) -> np.ndarray:
    variance = math.exp(log_variance)
    return np.exp(-((GRID - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def integrals(distance: Callable[..., Tensor], given: list[float], width: float) -> float:
    """Of one dimension: the divergences, the overlap (as its logarithm) or the expected kernel are sums over a grid."""
    p, q = density(*given[:2]), density(*given[2:])
    if distance is symmetric_divergence:
        logs = [-((GRID - m) ** 2) / (2 * math.exp(v)) - v / 2 for m, v in (given[:2], given[2:])]
        return float(((p - q) * (logs[0] - logs[1])).sum() * STEP / 2)
    if distance is bhattacharyya:
        return -math.log(float(np.sqrt(p * q).sum() * STEP))
    kernel = np.exp(-((GRID[:, None] - GRID) ** 2) / (2 * width))
    return float((p - q) @ kernel @ (p - q)) * STEP**2


def drawn(dim: int) -> Tensor:
    return torch.randn(4, 3, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_dimension_equals_the_integral(distance: Callable[..., Tensor]) -> None:
    given = drawn(1)
    expected = [integrals(distance, given[:, i, 0].tolist(), 1.0) for i in range(3)]
    assert distance(*given).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("distance", [symmetric_divergence, bhattacharyya])
def test_independent_dimensions_add_up(distance: Callable[..., Tensor]) -> None:
    given = drawn(4)
    apart = sum(distance(*given[..., d : d + 1]) for d in range(4))
    torch.testing.assert_close(distance(*given), torch.as_tensor(apart))


def test_the_expected_kernel_is_a_product_over_dimensions() -> None:
    mean, log, mean_to, log_to = drawn(3)
    for i in range(3):
        kernels = []
        for a, b in (((mean, log), (mean, log)), ((mean, log), (mean_to, log_to)), ((mean_to, log_to),) * 2):
            product = 1.0
            for d in range(3):
                spread = math.exp(a[1][i, d]) + math.exp(b[1][i, d])
                difference = float(a[0][i, d] - b[0][i, d])
                product *= math.exp(-(difference**2) / (2 * (3 + spread))) / math.sqrt(1 + spread / 3)
            kernels.append(product)
        expected = kernels[0] - 2 * kernels[1] + kernels[2]
        assert float(gaussian_mmd(mean, log, mean_to, log_to)[i]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_symmetric_and_zero_with_a_finite_gradient_between_equals(
    distance: Callable[..., Tensor],
) -> None:
    mean, log, mean_to, log_to = drawn(4)
    torch.testing.assert_close(distance(mean, log, mean_to, log_to), distance(mean_to, log_to, mean, log))
    assert (distance(mean, log, mean_to, log_to) > 0).all()
    leaves = [part.clone().requires_grad_() for part in (mean, log)]
    equal = distance(*leaves, mean, log)
    assert equal.tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    for gradient in torch.autograd.grad(equal.sum(), leaves):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("log", [-10.0, 5.0])
def test_the_ends_of_the_clamp_are_finite_in_single_precision(distance: Callable[..., Tensor], log: float) -> None:
    mean = torch.randn(2, 256, requires_grad=True)
    value = distance(mean, torch.full((2, 256), log), torch.zeros(2, 256), torch.full((2, 256), -log))
    value.sum().backward()
    assert value.isfinite().all() and mean.grad is not None and mean.grad.isfinite().all()
