"""Which elements of two sets are the closest: what a maximum over elements, or a soft one, is decided by."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.similarity.functions import element_cosines


def closest_elements(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G, 2) int64 indices of the pair of elements with the largest cosine.

    The first pair of equals; -1 in place of an index where a set has one element alone.

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
    """
    cosines = element_cosines(query, gallery).transpose(1, 2)  # (Q, G, K, J)
    place = cosines.flatten(2).argmax(-1)
    sides = (place // gallery.shape[1], query.shape[1]), (place % gallery.shape[1], gallery.shape[1])
    return torch.stack([index if elements > 1 else torch.full_like(index, -1) for index, elements in sides], -1)
