from __future__ import annotations

import torch

from raytrain.encoders.regions import RegionViews
from raytrain.encoders.words import BiGRUCaptions, TokenCaptions


def test_views_are_unit_vectors_and_see_only_the_real_regions() -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8, views=3).eval()
    regions = torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    found = encoder(regions, mask)
    assert found.shape == (2, 3, 8)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 3))
    changed = regions.clone()
    changed[0, 2:] = 100
    torch.testing.assert_close(encoder(changed, mask), found)


def test_batch_norm_statistics_do_not_depend_on_padding() -> None:
    torch.manual_seed(0)
    encoder = RegionViews(6, 8).train()
    regions, mask = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    found = encoder(regions, mask)
    padded = torch.cat([regions, torch.zeros(2, 3, 6)], 1)
    longer = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(encoder(padded, longer), found)


def test_the_order_of_regions_does_not_matter() -> None:
    encoder = RegionViews(6, 8, views=2).eval()
    regions, mask = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    torch.testing.assert_close(encoder(regions.flip(1), mask), encoder(regions, mask))


def test_captions_do_not_depend_on_how_far_they_are_padded() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    words = BiGRUCaptions(20, 5, 8).eval()
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    torch.testing.assert_close(words(ids, mask)[1:], words(ids[1:, :2], mask[1:, :2]))
    tokens = TokenCaptions(6, 8).eval()
    states = torch.randn(2, 4, 6)
    torch.testing.assert_close(tokens(states, mask)[1:], tokens(states[1:, :2], mask[1:, :2]))
