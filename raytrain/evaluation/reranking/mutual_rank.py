"""Re-ranking by mutual ranks, the baseline of Fast Re-ranking: MTFN's (Wang et al., ACM MM 2019), without its leak.

Each query's first K1 items are sorted again by the rank of the query in the item's own list of queries. The published
code gives a caption the best rank of the five captions of its image, which uses the ground truth of which captions
belong together. Here a caption has its own rank, and its siblings are captions like any other: they can only rank
above it.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**22


def resorted(similarity: Tensor, first: int) -> Tensor:
    """(Q, G) int64 0-based rank of each item for each query, after its first K1 items were sorted again.

    Of equal scores the higher index ranks first, as everywhere here. Items that give the query the same mutual rank
    keep their order.

    Args:
        similarity: (Q, G) scores, larger is closer.
        first: K1; 0 and 1 change nothing, values above G count as G.
    """
    queries, gallery = similarity.shape
    first = max(0, min(first, gallery))
    order = torch.cat([_descending(part) for part in torch.split(similarity, max(1, BLOCK_ELEMENTS // gallery))])
    nearest = order[:, :first]  # (Q, K1) items
    mutual = torch.empty_like(nearest)
    for items in torch.split(torch.arange(gallery), max(1, BLOCK_ELEMENTS // queries)):
        ranks = _ranks(_descending(similarity[:, items].T))  # (items, Q) rank of each query in the item's list
        in_block = (nearest >= items[0]) & (nearest <= items[-1])
        query, column = in_block.nonzero(as_tuple=True)
        mutual[query, column] = ranks[nearest[query, column] - items[0], query]
    by_mutual = mutual.argsort(dim=1, stable=True)
    order[:, :first] = nearest.gather(1, by_mutual)
    return _ranks(order)


def _descending(rows: Tensor) -> Tensor:
    """(R, C) columns of each row, best first; of equal scores the higher index first."""
    return rows.argsort(dim=1, stable=True).flip(1)


def _ranks(order: Tensor) -> Tensor:
    """(R, C) 0-based rank of each column in the order of its row."""
    return torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
