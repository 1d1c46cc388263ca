"""Heads against their formula: a linear skip and an MLP, each form of it, and where dropout acts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from raytrain.encoders.heads import Head, xavier_linear
from raytrain.encoders.regions import RegionViews
from raytrain.encoders.sets import GridSets, RegionSets, TokenSets
from raytrain.encoders.words import TokenCaptions

MASK = torch.tensor([[True, True, False, True], [True, True, True, True]])


def by_hand(mlp: nn.Sequential, row: list[float], activation: str) -> list[float]:
    """Linear, activation, Linear of one row, number by number; without a norm."""

    def linear(layer: nn.Linear, x: list[float]) -> list[float]:
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * value for w, value in zip(weights, x, strict=True)) + bias for weights, bias in rows]

    def act(x: float) -> float:
        return max(0.0, x) if activation == "relu" else x * 0.5 * (1 + math.erf(x / math.sqrt(2)))

    return linear(mlp[-1], [act(x) for x in linear(mlp[0], row)])  # type: ignore[arg-type]


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [None, 3])
def test_the_residual_is_two_layers_around_an_activation(activation: Any, hidden: int | None) -> None:
    torch.manual_seed(0)
    mlp = Head(hidden=hidden, activation=activation, norm="none").residual(6, 8).double()
    assert mlp[0].out_features == (hidden or 4)  # type: ignore[union-attr]
    rows = torch.randn(3, 6, dtype=torch.float64)
    for row, actual in zip(rows.tolist(), mlp(rows).tolist(), strict=True):
        assert actual == pytest.approx(by_hand(mlp, row, activation), rel=1e-12, abs=1e-12)


def test_every_form_has_the_same_names_of_parameters() -> None:
    plain = {name for name, _ in Head().residual(6, 8).named_parameters()}
    assert plain == {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}
    assert {name for name, _ in Head(dropout=0.5, activation="gelu").residual(6, 8).named_parameters()} == plain
    assert {name for name, _ in Head(norm="none").residual(6, 8).named_parameters()} == plain - {"1.weight", "1.bias"}


def test_dropout_acts_on_the_input_and_on_the_hidden_units_in_training_alone() -> None:
    torch.manual_seed(0)
    head = Head(dropout=0.5, norm="none", hidden=40)
    with_hidden, ones = head.residual(50, 8), torch.ones(1, 50)
    assert 0.3 < (head.input_dropout()(ones) == 0).float().mean() < 0.7
    assert not torch.equal(with_hidden(ones), with_hidden(ones))
    assert torch.equal(with_hidden.eval()(ones), with_hidden(ones))


@pytest.mark.parametrize("views", [1, 3])
def test_linear_views_of_an_image_are_linear_maps_of_its_own(views: int) -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8, views, "mean", head=Head("linear")).eval()
    assert len(encoder.mlps) == (0 if views == 1 else views)
    regions = torch.randn(2, 4, 6)
    pooled = encoder.pooled(regions, MASK)
    for k in range(views):
        expected = encoder.base(regions[1].mean(0)) + (encoder.mlps[k](regions[1].mean(0)) if views > 1 else 0)
        torch.testing.assert_close(pooled[1, k], expected)
    torch.testing.assert_close(pooled[0, 0], encoder.pooled(regions[:1, [0, 1, 3]], MASK[:1, [0, 1, 3]])[0, 0])


@pytest.mark.parametrize("pool_first", [False, True])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_caption_is_mapped_by_token_or_once_after_pooling(kind: Any, pool_first: bool) -> None:
    torch.manual_seed(0)
    captions = TokenCaptions(6, 8, "mean", head=Head(kind), pool_first=pool_first).eval()
    states = torch.randn(2, 4, 6)
    real = states[0, MASK[0]]
    mapped = captions.head(real.mean(0, keepdim=True))[0] if pool_first else captions.head(real).mean(0)
    torch.testing.assert_close(captions(states, MASK)[0], mapped / mapped.norm())
    if kind == "linear":  # the mean of linear maps is the map of the mean
        captions.pool_first = not pool_first
        torch.testing.assert_close(captions(states, MASK)[0], mapped / mapped.norm())


class Whole(nn.Module):
    """A head of sets that shows what it is handed: the local features and the global one."""

    def forward(
        self, local: torch.Tensor, mask: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return local, whole


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_sets_read_local_features_of_the_head(kind: Any) -> None:
    torch.manual_seed(0)
    images = RegionSets(6, 8, Whole(), 0.0, Head(kind)).eval()
    captions = TokenSets(6, 8, Whole(), local=Head(kind)).eval()
    rows = torch.randn(2, 4, 6)
    local, whole = images(rows, MASK)
    expected = base = images.base(rows)
    if images.mlp is not None:
        expected = base + torch.stack([images.mlp(part) for part in base])
    torch.testing.assert_close(local[MASK], expected[MASK])
    torch.testing.assert_close(whole[1], expected[1].amax(0))
    grid = GridSets(6, 8, Whole(), whole=Head(kind)).eval()
    local, whole = grid(rows, MASK)
    mean = rows[1].mean(0, keepdim=True)
    torch.testing.assert_close(whole[1:], grid.linear(mean) + (0 if grid.mlp is None else grid.mlp(mean)))
    assert torch.equal(local, rows)
    local, whole = captions(rows, MASK)
    expected = captions.linear(rows)
    if captions.mlp is not None:
        expected = expected + torch.stack([captions.mlp(part) for part in rows])
    torch.testing.assert_close(local[MASK], expected[MASK])
    torch.testing.assert_close(whole[1], expected[1].amax(0))


def test_xavier_layers_start_within_their_bound_and_without_bias() -> None:
    torch.manual_seed(0)
    layer = xavier_linear(30, 20)
    bound = math.sqrt(6 / 50)
    assert 0.9 * bound < layer.weight.abs().max().item() <= bound
    assert (layer.bias == 0).all()
