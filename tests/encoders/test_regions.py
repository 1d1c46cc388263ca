"""Image branches over regions against their formulas: views, batch norm without padding, one vector per region."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.encoders.regions import LinearViews, LocalRegions, RegionViews

MASK = torch.tensor([[True, True, False, True], [True, True, True, True]])


@pytest.mark.parametrize("sharing", ["shared", "per_view"])
@pytest.mark.parametrize("views", [1, 3])
def test_views_are_a_base_and_a_residual_per_view_pooled(views: int, sharing: Any) -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8, views, "gpo", sharing, gpo_dim=4).eval()
    regions = torch.randn(2, 4, 6)
    vectors = encoder(regions, MASK)
    assert len(encoder.pools) == (views if sharing == "per_view" else 1)
    for row in range(2):
        real = regions[row, MASK[row]]
        for k in range(views):
            local = encoder.base(real) + encoder.mlps[k](real)
            pool = encoder.pools[k if sharing == "per_view" else 0]
            expected = pool(local[None], torch.ones(1, len(real), dtype=torch.bool))[0]
            torch.testing.assert_close(vectors[row, k], normalize(expected, dim=0))


@pytest.mark.parametrize("pool", ["max", "gpo"])
def test_linear_views_have_a_layer_each(pool: str) -> None:
    torch.manual_seed(0)
    encoder = LinearViews(6, 8, 3, pool, gpo_dim=4).eval()
    regions = torch.randn(2, 4, 6)
    vectors = encoder(regions, MASK)
    for row in range(2):
        real = regions[row, MASK[row]]
        for k in range(3):
            local = encoder.views[k](real)[None]
            expected = encoder.pool(local, torch.ones(1, len(real), dtype=torch.bool))[0]
            torch.testing.assert_close(vectors[row, k], normalize(expected, dim=0))


def test_views_are_unit_vectors_and_see_only_the_real_regions() -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8, views=3).eval()
    regions = torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    actual = encoder(regions, mask)
    assert actual.shape == (2, 3, 8)
    torch.testing.assert_close(actual.norm(dim=-1), torch.ones(2, 3))
    changed = regions.clone()
    changed[0, 2:] = 100
    torch.testing.assert_close(encoder(changed, mask), actual)


def test_batch_norm_statistics_do_not_depend_on_padding() -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8).train()
    regions, mask = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    actual = encoder(regions, mask)
    padded = torch.cat([regions, torch.zeros(2, 3, 6)], 1)
    longer = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(encoder(padded, longer), actual)


def test_the_order_of_regions_does_not_matter() -> None:
    encoder = RegionViews(6, 8, views=2).eval()
    regions, mask = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    torch.testing.assert_close(encoder(regions.flip(1), mask), encoder(regions, mask))


def test_vectors_per_region_are_normalised_linear_layers_and_zeros_where_masked() -> None:
    torch.manual_seed(0)
    encoder = LocalRegions(6, 8)
    regions = torch.randn(2, 4, 6)
    vectors = encoder(regions, MASK)
    torch.testing.assert_close(vectors[MASK], normalize(encoder.linear(regions[MASK]), dim=-1))
    assert (vectors[~MASK] == 0).all()
