"""Re-ranking by mutual places, to compare Fast Re-ranking with: that of MTFN (Wang et al., ACM MM 2019), not leaking.

Each query's first K1 items are sorted again by the place that the query has in the item's own list of queries. The
published code gives a caption the best place that any of the five captions of its image has, which takes from the
ground truth which captions belong together. Here a caption has its own place, and its siblings are captions like any
others: they can only stand before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**22


def resorted(similarity: Tensor, first: int) -> Tensor:
    """(Q, G) int64 place, from 0, of each item in each query's list after its first K1 items were sorted again.

    Among equal scores the higher index stands first, as everywhere here. Items whose lists give the query the same
    place keep their order.

    Args:
        similarity: (Q, G) scores, larger is closer.
        first: K1; 0 and 1 change nothing, more than G is G.
    """
    queries, gallery = similarity.shape
    first = max(0, min(first, gallery))
    order = torch.cat([_descending(part) for part in torch.split(similarity, max(1, BLOCK_ELEMENTS // gallery))])
    asked = order[:, :first]  # (Q, K1) items
    mutual = torch.empty_like(asked)
    for items in torch.split(torch.arange(gallery), max(1, BLOCK_ELEMENTS // queries)):
        places = _places(_descending(similarity[:, items].T))  # (items, Q) place of each query in the item's list
        here = (asked >= items[0]) & (asked <= items[-1])
        query, column = here.nonzero(as_tuple=True)
        mutual[query, column] = places[asked[query, column] - items[0], query]
    again = mutual.argsort(dim=1, stable=True)
    order[:, :first] = asked.gather(1, again)
    return _places(order)


def _descending(rows: Tensor) -> Tensor:
    """(R, C) columns of each row, best first, of equal ones the higher index first."""
    return rows.argsort(dim=1, stable=True).flip(1)


def _places(order: Tensor) -> Tensor:
    """(R, C) place of each column in its row's order."""
    return torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
