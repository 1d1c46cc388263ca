"""MV-VSE's bounds against plain loops over rows, views and negatives, their limits and their edges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.losses import mean_triplet, multi_view_bounds
from raytrain.losses.triplet import batch_negatives

FORMS = ["hinge", "mean", "smooth"]


def scores(views: int, batch: int = 5) -> Tensor:
    return torch.rand(views, batch, batch, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cost(own: float, others: list[float], margin: float, form: str, tau: float) -> float:
    if not others:
        return 0.0
    if form == "mean":
        return sum(max(0.0, margin + x - own) for x in others) / len(others)
    if form == "hinge":
        return max(0.0, margin + max(others) - own)
    soft = tau * math.log(sum(math.exp(x / tau) for x in others))
    return tau * math.log(1 + math.exp((margin + soft - own) / tau))


def bounds_by_hand(s: Tensor, negative: list[list[bool]], margin: float, form: str, tau: float) -> tuple[float, float]:
    views, batch, _ = s.shape
    upper = lower = 0.0
    for swap in (False, True):
        for i in range(batch):
            row = [[float(s[k, j, i] if swap else s[k, i, j]) for j in range(batch)] for k in range(views)]
            kept = [j for j in range(batch) if (negative[j][i] if swap else negative[i][j])]
            best = [max(row[k][j] for k in range(views)) for j in range(batch)]
            for k in range(views):
                upper += cost(row[k][i], [best[j] for j in kept], margin, form, tau) / (2 * batch * views)
                lower += cost(best[i], [row[k][j] for j in kept], margin, form, tau) / (2 * batch * views)
    return upper, lower


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 2], [7] * 5])
def test_the_bounds_equal_the_published_sums(ids: list[int], views: int, form: str) -> None:
    negatives = batch_negatives(torch.tensor(ids), "masked")
    actual = multi_view_bounds(scores(views), negatives, 0.2, form, 0.1)
    expected = bounds_by_hand(scores(views), negatives.tolist(), 0.2, form, 0.1)
    assert [value.item() for value in actual] == pytest.approx(expected, abs=1e-12)


def test_one_view_has_one_loss_which_is_that_of_the_hardest_negative() -> None:
    negatives = batch_negatives(torch.arange(5), "masked")
    upper, lower = multi_view_bounds(scores(1), negatives, 0.2)
    assert upper == lower
    torch.testing.assert_close(2 * upper, mean_triplet(scores(1)[0], negatives, 0.2))


def test_the_upper_bound_lies_above_the_lower() -> None:
    upper, lower = multi_view_bounds(scores(4), batch_negatives(torch.arange(5), "masked"), 0.2)
    assert upper > lower


def test_the_smooth_form_becomes_the_hinges_as_tau_vanishes() -> None:
    negatives = batch_negatives(torch.arange(5), "masked")
    hard = multi_view_bounds(scores(3), negatives, 0.2)
    for smooth, hinge in zip(multi_view_bounds(scores(3), negatives, 0.2, "smooth", 1e-4), hard, strict=True):
        torch.testing.assert_close(smooth, hinge, atol=1e-3, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_negatives_costs_nothing_and_has_a_finite_gradient(form: str) -> None:
    given = torch.ones(2, 3, 3, requires_grad=True)
    loss = sum(multi_view_bounds(given, torch.zeros(3, 3, dtype=torch.bool), form=form), torch.zeros(()))
    loss.backward()
    assert loss.item() == 0
    assert given.grad is not None and torch.isfinite(given.grad).all()


def test_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="hinge, mean and smooth"):
        multi_view_bounds(scores(1), torch.ones(5, 5, dtype=torch.bool), form="soft")
