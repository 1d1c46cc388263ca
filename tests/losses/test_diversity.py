"""Diversity losses against their published sums, and their gradients at one element, equal and orthogonal ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.losses import (
    exponential_diversity,
    global_discrimination,
    gram_diversity,
    intra_set_divergence,
)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_diversities_equal_the_published_sums(count: int) -> None:
    sets = unit(3, count, 8)
    pairs = [(k, m) for k in range(count) for m in range(count) if k < m]
    spread, gram = 0.0, 0.0
    for rows in sets.tolist():
        if pairs:
            spread += sum(2 * math.exp(-2 * math.dist(rows[k], rows[m]) ** 2) for k, m in pairs) / (count * (count - 1))
        squares = sum(sum(a * b for a, b in zip(rows[k], rows[m], strict=True)) ** 2 for k, m in pairs)
        gram += math.sqrt(2 * squares) / count**2
    assert exponential_diversity(sets).item() == pytest.approx(spread / 3, abs=1e-12)
    assert gram_diversity(sets).item() == pytest.approx(gram / 3, abs=1e-8)


@pytest.mark.parametrize("loss", [exponential_diversity, gram_diversity])
@pytest.mark.parametrize("case", ["one element", "equal", "orthogonal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_diversity_are_finite(loss: object, case: str, dtype: torch.dtype) -> None:
    made = {"one element": unit(2, 1, 4), "equal": torch.ones(2, 3, 4) / 2, "orthogonal": torch.eye(4)[None]}
    sets = made[case].to(dtype).requires_grad_()
    loss(sets).backward()  # type: ignore[operator]
    assert sets.grad is not None
    assert torch.isfinite(sets.grad).all()


@pytest.mark.parametrize("margin", [-1.0, 0.2])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_losses_of_maxmatch_equal_their_sums(count: int, margin: float) -> None:
    sets, whole = unit(3, count, 8), unit(3, 8, seed=1)
    apart = spread = 0.0
    for rows, shared in zip(sets, whole, strict=True):
        apart += sum(math.exp(max(0.0, float(row @ shared) - margin)) - 1 for row in rows) / (count * len(sets))
        pairs = [(k, m) for k in range(count) for m in range(k + 1, count)]
        spread += sum(max(0.0, float(rows[k] @ rows[m]) - margin) for k, m in pairs) / max(1, len(pairs)) / len(sets)
    assert global_discrimination(sets, whole, margin).item() == pytest.approx(apart, abs=1e-12)
    assert intra_set_divergence(sets, margin).item() == pytest.approx(spread, abs=1e-12)


def test_copies_of_the_global_feature_cost_most() -> None:
    whole = unit(2, 8)
    copies = whole[:, None].expand(-1, 3, -1)
    assert global_discrimination(copies, whole, 0.5).item() == pytest.approx(math.exp(0.5) - 1)
    assert intra_set_divergence(copies, 0.5).item() == pytest.approx(0.5)
    assert global_discrimination(-copies, whole, 0.5).item() == 0
