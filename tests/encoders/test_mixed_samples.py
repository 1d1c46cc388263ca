"""Mixup and CutMix of sets of regions, region by region, and what they do at the edges."""

from __future__ import annotations

import torch

from raytrain.encoders.mixed_samples import cutmix, mixup

WHOLE = torch.ones(2, 5, dtype=torch.bool)
FIRST, OTHER = torch.zeros(2, 5, 1), torch.ones(2, 5, 1)


def test_mixup_is_the_weighted_sum_and_keeps_regions_that_one_image_lacks() -> None:
    mask, other_mask = torch.tensor([[True, True, False, False]]), torch.tensor([[True, False, True, False]])
    mixed = mixup((torch.full((1, 4, 1), 2.0), mask), (torch.full((1, 4, 1), 6.0), other_mask), torch.tensor([0.75]))
    assert mixed.mask.tolist() == [[True, True, True, False]]
    assert mixed.regions[0, :3, 0].tolist() == [3.0, 2.0, 6.0]
    assert mixed.kept.tolist() == [0.75]


def test_cutmix_takes_a_run_that_goes_on_at_the_beginning() -> None:
    mixed = cutmix((FIRST, WHOLE), (OTHER, WHOLE), torch.tensor([0.6, 1.0]), torch.tensor([0.8, 0.3]))
    assert mixed.regions[..., 0].tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    torch.testing.assert_close(mixed.kept, torch.tensor([0.6, 1.0]))


def test_the_feature_of_the_whole_image_is_mixed_by_the_share_that_was_kept() -> None:
    mixed = cutmix((FIRST, WHOLE), (OTHER, WHOLE), torch.tensor([0.5, 0.0]), torch.zeros(2), global_region=2)
    assert mixed.regions[0, :, 0].tolist() == [1, 1, 0.5, 0, 0]
    assert mixed.regions[1, :, 0].tolist() == [1, 1, 1, 1, 1]
    assert mixed.kept.tolist() == [0.5, 0.0]


def test_the_share_counts_real_regions_and_an_image_never_loses_all_of_them() -> None:
    other_mask = torch.tensor([[True, False, True, True, True], [False] * 5])
    mixed = cutmix((FIRST, WHOLE), (OTHER, other_mask), torch.tensor([0.6, 0.0]), torch.zeros(2))
    assert mixed.mask.tolist() == [[True, False, True, True, True], [True] * 5]
    torch.testing.assert_close(mixed.kept, torch.tensor([0.75, 1.0]))
    assert mixed.regions[1].count_nonzero() == 0


def test_an_image_of_one_global_vector_is_not_cut() -> None:
    mask = WHOLE[:, :1]
    mixed = cutmix((FIRST[:, :1], mask), (OTHER[:, :1], mask), torch.tensor([0.2, 0.2]), torch.zeros(2), 0)
    assert mixed.kept.tolist() == [1.0, 1.0] and mixed.regions.count_nonzero() == 0
