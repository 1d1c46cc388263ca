"""The divergence from a standard normal and uniformity, against plain loops and their edges."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.losses import divergence, uniformity


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_divergence_equals_the_published_sum_and_torchs() -> None:
    mean, log_variance = drawn(3, 5), drawn(3, 5, seed=1)
    actual = divergence(mean, log_variance)
    for row in range(3):
        pairs = zip(mean[row].tolist(), log_variance[row].tolist(), strict=True)
        expected = sum(0.5 * (m**2 + math.exp(s) - 1 - s) for m, s in pairs)
        assert actual[row].item() == pytest.approx(expected, rel=1e-12)
    normal = torch.distributions.Normal
    torchs = torch.distributions.kl_divergence(
        normal(mean, (log_variance / 2).exp()), normal(torch.zeros_like(mean), torch.ones_like(mean))
    )
    torch.testing.assert_close(actual, torchs.sum(1))
    assert divergence(torch.zeros(2, 4), torch.zeros(2, 4)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("count", [2, 5])
def test_uniformity_equals_the_published_mean_over_pairs(count: int) -> None:
    samples = drawn(count, 4)
    rows = samples.tolist()
    pairs = [math.exp(-2 * math.dist(rows[i], rows[j]) ** 2) for i in range(count) for j in range(count) if i < j]
    assert uniformity(samples).item() == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-9)


@pytest.mark.parametrize("case", ["one", "equal", "far"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_uniformity_has_finite_gradients_at_its_edges(case: str, dtype: torch.dtype) -> None:
    made = {"one": drawn(1, 4), "equal": torch.ones(3, 4), "far": 1e3 * drawn(3, 4)}
    samples = made[case].to(dtype).requires_grad_()
    loss = uniformity(samples)
    loss.backward()
    assert torch.isfinite(loss)
    assert samples.grad is not None
    assert torch.isfinite(samples.grad).all()
    if case != "far":
        assert loss.item() == 0
