"""The losses of sets: every caption of an image in the batch, elements apart, and the two clouds together."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.losses import discrepancy_loss, exponential_diversity, gram_diversity, set_triplet


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def triplet_by_hand(s: list[list[float]], owner: list[int], images: int, margin: float, mining: str) -> float:
    """Both directions: a loop over positive pairs, and over the negatives of each."""
    pairs = [(q, g) for q in range(len(owner)) for g in range(images) if owner[q] == g]
    total = 0.0
    for direction in ("t2i", "i2t"):
        hardest, every = [], []
        for q, g in pairs:
            if direction == "t2i":
                costs = [max(0.0, margin + s[q][j] - s[q][g]) for j in range(images) if owner[q] != j]
            else:
                costs = [max(0.0, margin + s[n][g] - s[q][g]) for n in range(len(owner)) if owner[n] != g]
            hardest.append(max(costs, default=0.0))
            every += costs
        if mining == "hardest":
            total += sum(hardest) / len(hardest)
        elif mining == "mean":
            total += sum(every) / len(every)
        else:
            cut = [min(cost, margin) for cost in every]
            total += sum(cut) / max(1, sum(cost > 0 for cost in cut))
    return total


@pytest.mark.parametrize("mining", ["hardest", "mean", "semi_hard"])
@pytest.mark.parametrize("owner", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2], [2, 0, 1]])
def test_triplet_of_all_captions_equals_the_published_means(owner: list[int], mining: str) -> None:
    scores = torch.rand(len(owner), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positives = torch.tensor(owner)[:, None] == torch.arange(3)
    expected = triplet_by_hand(scores.tolist(), owner, 3, 0.2, mining)
    assert set_triplet(scores, positives, 0.2, mining).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mining", ["hardest", "mean"])
def test_a_collapsed_model_costs_twice_the_margin_whatever_the_batch(mining: str) -> None:
    for images in (3, 9):
        positives = torch.arange(images).repeat_interleave(5)[:, None] == torch.arange(images)
        assert set_triplet(torch.ones(5 * images, images), positives, 0.2, mining).item() == pytest.approx(0.4)


@pytest.mark.parametrize("mining", ["hardest", "mean", "semi_hard"])
def test_one_image_alone_has_no_negatives_and_a_finite_gradient(mining: str) -> None:
    scores = torch.ones(3, 1, requires_grad=True)
    loss = set_triplet(scores, torch.ones(3, 1, dtype=torch.bool), 0.2, mining)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_a_semi_hard_loss_leaves_negatives_above_their_positive_alone() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.4]], requires_grad=True)
    set_triplet(scores, torch.tensor([[True, False, False]]), 0.2, "semi_hard").backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert scores.grad[0, 2] > 0


def test_an_unknown_mining_shows_the_choices() -> None:
    with pytest.raises(ValueError, match="hardest, mean and semi_hard"):
        set_triplet(torch.zeros(1, 2), torch.tensor([[True, False]]), 0.2, "hard")


def kernel_by_hand(x: list[list[float]], y: list[list[float]]) -> float:
    return sum(math.exp(-0.5 * math.dist(p, q)) for p in x for q in y) / (len(x) * len(y))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (3, 30)])
def test_discrepancy_equals_the_published_sums(n: int, m: int) -> None:
    x, y = unit(n, 8), unit(m, 8, seed=1)
    a, b = x.tolist(), y.tolist()
    expected = kernel_by_hand(a, a) - 2 * kernel_by_hand(a, b) + kernel_by_hand(b, b)
    assert discrepancy_loss(x, y).item() == pytest.approx(expected, abs=1e-6)  # a matrix product's distance to itself


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_elements_have_no_discrepancy_and_a_finite_gradient(count: int, dtype: torch.dtype) -> None:
    x = unit(1, 8).expand(count, 8).to(dtype).requires_grad_()
    loss = discrepancy_loss(x, x.detach())
    (slope,) = torch.autograd.grad(loss, x)
    assert loss.item() == pytest.approx(0, abs=2e-3)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() < 1e-2


@pytest.mark.parametrize("count", [1, 2, 4])
def test_diversities_equal_the_published_sums(count: int) -> None:
    sets = unit(3, count, 8)
    pairs = [(k, m) for k in range(count) for m in range(count) if k < m]
    spread, gram = 0.0, 0.0
    for one in sets.tolist():
        if pairs:
            spread += sum(2 * math.exp(-2 * math.dist(one[k], one[m]) ** 2) for k, m in pairs) / (count * (count - 1))
        squares = sum(sum(a * b for a, b in zip(one[k], one[m], strict=True)) ** 2 for k, m in pairs)
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
