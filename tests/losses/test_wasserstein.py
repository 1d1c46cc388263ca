from __future__ import annotations

import math

import pytest
import torch

from raytrain.losses import wasserstein_loss


def wasserstein_by_hand(mean: list[float], log: list[float], mean_to: list[float], log_to: list[float]) -> float:
    return sum(
        (m - n) ** 2 + (math.exp(a / 2) - math.exp(b / 2)) ** 2
        for m, a, n, b in zip(mean, log, mean_to, log_to, strict=True)
    )


@pytest.mark.parametrize("root", [False, True])
def test_wasserstein_equals_the_sums(root: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    squared = [wasserstein_by_hand(*(part[i].tolist() for part in given)) for i in range(3)]
    expected = [math.sqrt(value) for value in squared] if root else squared
    assert wasserstein_loss(*given, root=root).tolist() == pytest.approx(expected, rel=1e-12)


def test_it_equals_the_distance_of_full_covariances() -> None:
    """||m - n||^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), the general form."""
    generator = torch.Generator().manual_seed(1)
    mean, log, mean_to, log_to = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    a, b = torch.diag(log.exp()), torch.diag(log_to.exp())
    middle = torch.linalg.cholesky(a.sqrt() @ b @ a.sqrt())  # the root of a diagonal matrix
    expected = (mean - mean_to).square().sum() + torch.trace(a + b - 2 * middle)
    torch.testing.assert_close(wasserstein_loss(mean, log, mean_to, log_to, root=False), expected)


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equal_gaussians_are_zero_apart_with_a_finite_gradient(root: bool, dtype: torch.dtype) -> None:
    mean, log = torch.full((2, 3), 0.5, dtype=dtype, requires_grad=True), torch.zeros(2, 3, dtype=dtype)
    log.requires_grad_()
    distance = wasserstein_loss(mean, log, mean.detach().clone(), log.detach().clone(), root=root)
    assert distance.tolist() == [0, 0]
    for gradient in torch.autograd.grad(distance.sum(), (mean, log)):
        assert gradient.tolist() == [[0, 0, 0]] * 2


def test_the_root_of_a_small_distance_has_a_unit_gradient() -> None:
    mean = torch.tensor([[1e-4, 0.0]], requires_grad=True)
    zeros = torch.zeros(1, 2)
    (gradient,) = torch.autograd.grad(wasserstein_loss(mean, zeros, zeros, zeros, root=True).sum(), mean)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, 0.0]]))
