"""Log sigma and log variance heads against their formulas, and padding that changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from raytrain.encoders.gaussian_heads import (
    GaussianHead,
    LogSigma,
    LogVarianceScale,
    RegionLogVariance,
    TokenLogVariance,
)
from raytrain.encoders.sets import GridSets

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def local(features: int = 6) -> Tensor:
    return torch.randn(2, 4, features, generator=torch.Generator().manual_seed(0))


def attended_by_hand(module: Any, rows: Tensor) -> Tensor:
    """softmax over the rows of w2 tanh(W1 x), then the weighted sum."""
    weights = [float(torch.exp(module[2].weight[0] @ torch.tanh(module[0].weight @ row))) for row in rows]
    return sum((w / sum(weights) * row for w, row in zip(weights, rows, strict=True)), torch.zeros_like(rows[0]))


@pytest.mark.parametrize("rest", ["mean", "gru"])
@torch.no_grad()
def test_log_sigma_is_an_attention_and_a_rest(rest: Any) -> None:
    torch.manual_seed(0)
    head = LogSigma(6, 8, rest, start=-4.0)
    actual = head(local(), MASK)
    for row, length in enumerate((3, 1)):
        real = local()[row, :length]
        expected = head.linear.weight @ attended_by_hand(head.scores, real) - 4.0
        if rest == "mean":
            assert head.whole is not None
            expected = expected + head.whole.weight @ (real.sum(0) / length)
        else:
            assert head.gru is not None
            states = head.gru(real[None])[0][0]  # (T, 2 D): forward ends last, backward first
            expected = expected + (states[-1, :8] + states[0, 8:]) / 2
        torch.testing.assert_close(actual[row], expected)


@pytest.mark.parametrize("rest", ["mean", "gru"])
def test_a_gaussian_does_not_see_what_pads_it(rest: Any) -> None:
    torch.manual_seed(0)
    model = GridSets(6, 8, GaussianHead(6, 8, rest=rest))
    mean, log_sigma = model(local(), MASK)
    assert mean.shape == log_sigma.shape == (2, 1, 8)
    torch.testing.assert_close(mean.norm(dim=-1), torch.ones(2, 1))
    padded = model(pad(local(), (0, 0, 0, 3), value=9.0), pad(MASK, (0, 3)))
    torch.testing.assert_close(padded[0], mean)
    torch.testing.assert_close(padded[1], log_sigma)


def test_log_variances_start_nearly_equal_with_the_norm_and_shifted_without() -> None:
    features = 100 * torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    normed = LogVarianceScale(8, -8.0, norm=True)(features)
    spread = features - features.mean(1, keepdim=True)
    expected = -8 + 0.01 * spread / (spread.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(LogVarianceScale(8, -8.0, norm=False)(features), features - 8)


@pytest.mark.parametrize("head", [RegionLogVariance, TokenLogVariance])
def test_log_variances_do_not_see_padding(head: Any) -> None:
    torch.manual_seed(0)
    model = head(6, 8, "gpo", 4, -8.0, True).eval()
    actual = model(local(), MASK)
    assert actual.shape == (2, 8)
    torch.testing.assert_close(model(pad(local(), (0, 0, 0, 3), value=9.0), pad(MASK, (0, 3))), actual)
