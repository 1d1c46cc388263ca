"""Steadiness of DVSE's weights: of weights made by hand, by batch size, and against whether views are right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.config import DVSEConfig
from raytrain.scoring.view_weights import weight_measures


def embedded(items: int = 60, views: int = 3, noise: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Two captions per image; view 0 of an image is close to them, the other views are random."""
    draw = torch.Generator().manual_seed(0)
    gallery = torch.randn(items, views, 8, generator=draw)
    owner = torch.arange(items).repeat_interleave(2)
    query = gallery[owner, 0] + noise * torch.randn(2 * items, 8, generator=draw)
    return normalize(query, dim=-1), normalize(gallery, dim=-1), owner


def test_equal_weights_are_perfectly_steady_and_tell_nothing() -> None:
    measures = weight_measures(*embedded(), DVSEConfig(weight_fn="none"), batch_size=16, batches=4)
    assert measures.weight == pytest.approx([1 / 3] * 3)
    assert [*measures.variation, measures.pair_variation, measures.correlation] == pytest.approx([0] * 5, abs=1e-9)
    assert measures.share_right[0] > 0.9 and max(measures.share_right[1:]) < 0.3


def test_larger_batches_give_steadier_weights() -> None:
    small, large = (weight_measures(*embedded(160), DVSEConfig(), size, batches=20) for size in (8, 64))
    assert large.pair_variation < small.pair_variation / 1.5
    assert all(a < b for a, b in zip(large.variation, small.variation, strict=True))


def test_weight_that_goes_to_the_view_that_is_right_correlates_with_it() -> None:
    query, gallery, owner = embedded()
    gallery[:, 1:] *= 0.1  # views whose scores hardly vary
    loud, quiet = (weight_measures(query, gallery, owner, DVSEConfig(weight_fn=name)) for name in ("var", "inv"))
    assert loud.weight[0] > 0.9 and loud.correlation > 0.8
    assert quiet.weight[0] < 0.1 and quiet.correlation < -0.5


def test_kendall_is_measured_as_the_inverse_of_the_variance_and_draws_are_repeatable() -> None:
    kendall, inverse = (weight_measures(*embedded(), DVSEConfig(weight_fn=name)) for name in ("kendall", "inv"))
    assert kendall == inverse


def test_too_little_to_vary_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 or more batches"):
        weight_measures(*embedded(), DVSEConfig(), batches=1)
