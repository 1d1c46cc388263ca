"""The discrepancy of sets on one rank and on several."""

from __future__ import annotations

import torch

from raytrain.distributed import OwnRows, gather
from raytrain.losses import discrepancy_loss
from raytrain.methods.set_discrepancy import set_discrepancy
from tests.gpu.steps import imitated_ranks


def test_it_is_the_discrepancy_of_all_elements() -> None:
    images, captions = (torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(count)) for count in (3, 4))
    expected = discrepancy_loss(images.flatten(0, 1), captions.flatten(0, 1))
    torch.testing.assert_close(set_discrepancy(OwnRows(images), OwnRows(captions)), expected)
    with imitated_ranks():
        twice = [gather(side.clone().requires_grad_()) for side in (images, captions)]
        both = set_discrepancy(OwnRows(twice[0]), OwnRows(twice[1]))
    torch.testing.assert_close(both.detach(), expected)  # the other rank has the same sets
