"""PIE-Net and its attention against their equations item by item: padding, one element, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from raytrain.encoders.pie_net import PIENet, attended, attention_scores

LENGTHS = (4, 3, 1)
MASK = torch.arange(4) < torch.tensor(LENGTHS)[:, None]


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 4, 6) local features, their mask, and (B, 5) global ones."""
    generator = torch.Generator().manual_seed(1)
    local = torch.randn(3, 4, 6, generator=generator, dtype=dtype)
    return local, MASK, torch.randn(3, 5, generator=generator, dtype=dtype)


def build(elements: int, dropout: float = 0.0) -> PIENet:
    torch.manual_seed(0)
    return PIENet(6, 5, elements, dropout)


@pytest.mark.parametrize("elements", [1, 3])
def test_pie_net_equals_its_equations_item_by_item(elements: int) -> None:
    net = build(elements).double()
    local, mask, whole = inputs()
    embeddings, residual = net(local, mask, whole)
    assert embeddings.shape == residual.shape == (3, elements, 5)
    for item, length in enumerate(LENGTHS):
        x = local[item, :length]
        attention = torch.softmax(torch.tanh(x @ net.scores[0].weight.T) @ net.scores[2].weight.T, 0)  # type: ignore[operator]
        expected = torch.sigmoid(net.linear(attention.T @ x))
        torch.testing.assert_close(residual[item], expected)
        torch.testing.assert_close(embeddings[item], normalize(net.norm(whole[item] + expected), dim=-1))


def test_attended_rows_are_the_weighted_sums_of_real_features() -> None:
    local, mask, _ = inputs()
    scores = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows = attended(scores, local, mask)
    for item, length in enumerate(LENGTHS):
        for k in range(2):
            powers = [math.exp(score) for score in scores[item, :length, k].tolist()]
            columns = zip(*local[item, :length].tolist(), strict=True)
            expected = [sum(p * x for p, x in zip(powers, column, strict=True)) / sum(powers) for column in columns]
            assert rows[item, k].tolist() == pytest.approx(expected, abs=1e-12)


def test_padding_changes_nothing() -> None:
    net = build(3)
    local, mask, whole = inputs(torch.float32)
    longer = net(pad(local, (0, 0, 0, 3), value=100.0), pad(mask, (0, 3)), whole)
    for padded, plain in zip(longer, net(local, mask, whole), strict=True):
        torch.testing.assert_close(padded, plain)


def test_a_single_feature_per_item_leaves_its_width_half_a_hidden_unit_at_least() -> None:
    scores = attention_scores(1, 2)
    assert scores(torch.ones(3, 4, 1)).shape == (3, 4, 2)
    assert [tuple(parameter.shape) for parameter in scores.parameters()] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("elements", [1, 3])
def test_every_gradient_is_finite_also_where_all_features_are_equal(elements: int) -> None:
    net = build(elements)
    local = torch.ones(3, 4, 6, requires_grad=True)
    embeddings, residual = net(local, MASK, torch.zeros(3, 5))
    (embeddings.square().sum() + embeddings[..., 0].sum() + residual.sum()).backward()
    assert local.grad is not None
    assert (local.grad[~MASK] == 0).all()
    for gradient in (local.grad, *(parameter.grad for parameter in net.parameters())):
        assert gradient is not None
        assert torch.isfinite(gradient).all()


def test_under_autocast_the_softmax_stays_wide_and_the_embeddings_unit_vectors() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = build(3)(*inputs(torch.float32))[0]
    torch.testing.assert_close(embeddings.float().norm(dim=-1), torch.ones(3, 3), rtol=2e-2, atol=2e-2)
