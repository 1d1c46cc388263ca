"""Diversity losses against their published sums, and their gradients at one element, equal and orthogonal ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.losses import exponential_diversity, gram_diversity


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
