"""The discrepancy of the sets of all ranks, of which each compares its own with the others (PVSE, DivE, MaxMatch)."""

from __future__ import annotations

from torch import Tensor

from raytrain.distributed import OwnRows
from raytrain.losses.discrepancy import kernel_means


def set_discrepancy(images: OwnRows, captions: OwnRows) -> Tensor:
    """() `losses.discrepancy_loss` of all elements.

    Args:
        images: (N, K, D) sets.
        captions: (M, K, D) sets.
    """

    def mean(of: OwnRows, to: OwnRows) -> Tensor:
        by_element = kernel_means(of.own.flatten(0, 1), to.all.flatten(0, 1))
        return of.gather(by_element.view(len(of.own), -1).mean(1)).mean()

    return mean(images, images) - 2 * mean(captions, images) + mean(captions, captions)
