"""Two images mixed as sets of region features: Mixup and CutMix, a feature-level approximation of both.

Published, they mix pixels before the encoder. A table holds features, so that here each region is a mixture of the two
images' regions (Mixup, Zhang et al., ICLR 2018), or a run of regions, in their order, comes from the other image: bands
of a row-major grid (CutMix, Yun et al., ICCV 2019).

Letters: B images, R regions, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class MixedImages(NamedTuple):
    """Mixed images.

    Args:
        regions: (B, R, F).
        mask: (B, R) bool, True at real regions.
        kept: (B,) share in [0, 1] that is of the first image; the rest is of the other one.
    """

    regions: Tensor
    mask: Tensor
    kept: Tensor


def mixup(first: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], kept: Tensor) -> MixedImages:
    """kept * first + (1 - kept) * other, region by region; a region that one of them lacks is the other's.

    Args:
        first, other: (B, R, F) regions and (B, R) bool mask of both images.
        kept: (B,) share of the first image.
    """
    (regions, mask), (others, other_mask) = first, other
    share = torch.where(mask & other_mask, kept[:, None], mask.to(kept))[..., None].to(regions)
    return MixedImages(share * regions + (1 - share) * others, mask | other_mask, kept)


def cutmix(
    first: tuple[Tensor, Tensor],
    other: tuple[Tensor, Tensor],
    kept: Tensor,
    start: Tensor,
    global_region: int | None = None,
) -> MixedImages:
    """The first image with a run of about (1 - kept) R regions of the other one, in its place.

    The share that is reported as kept counts real regions. A feature of the whole image is mixed by that share. An
    image that would have no region left, or has none but that of the whole image, stays as it is.

    Args:
        first, other: as of `mixup`.
        kept: (B,) share of the first image that is wanted.
        start: (B,) in [0, 1), where the run begins; it goes on at the first region behind the last one.
        global_region: index of the feature of the whole image; None where there is none.
    """
    (regions, mask), (others, other_mask) = first, other
    count = regions.shape[1]
    is_cell = torch.ones(count, dtype=torch.bool, device=mask.device)
    if global_region is not None:
        is_cell[global_region] = False
    cells = count - (global_region is not None)
    place = is_cell.cumsum(0) - 1  # (R,) of each cell among the cells
    run = ((1 - kept) * cells).round()[:, None]
    behind = (place - (start[:, None] * cells).floor()) % max(cells, 1)
    cut = is_cell & (behind < run)
    mixed_mask = torch.where(cut, other_mask, mask)
    real = (mixed_mask & is_cell).sum(1)
    cut &= (real > 0)[:, None]
    mixed_mask = torch.where(cut, other_mask, mask)
    share = (mixed_mask & is_cell & ~cut).sum(1) / (mixed_mask & is_cell).sum(1).clamp(min=1)
    share = torch.where(real > 0, share, 1.0).to(kept)
    mixed = torch.where(cut[..., None], others, regions)
    if global_region is not None:
        both = mask[:, global_region] & other_mask[:, global_region]
        weight = torch.where(both, share, 1.0)[:, None].to(regions)
        whole = weight * regions[:, global_region] + (1 - weight) * others[:, global_region]
        mixed = torch.cat([mixed[:, :global_region], whole[:, None], mixed[:, global_region + 1 :]], 1)
    return MixedImages(mixed, mixed_mask, share)
