"""Recalls of composed queries under other galleries: the items that queries are ranked against are a sample too.

Another catalogue would hold other items. As in a two-way bootstrap (Owen, "The pigeonhole bootstrap", 2007), items are
drawn with replacement, apart from the queries: a draw counts each item that ranks above a query's target as often as it
was drawn. A query keeps its targets, which are part of its question. Draws depend on nothing but the gallery's size, so
that two models on one table meet the same galleries, and their differences are paired.

Letters: Q queries, G gallery items, B blocks of queries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

DRAWS = 100
BLOCKS = 16


def item_counts(size: int) -> Tensor:
    """(G, DRAWS) float32: how often each draw takes each item of a gallery of that size."""
    generator = np.random.default_rng([size, DRAWS])
    counts = np.empty((DRAWS, size), np.float32)
    for draw in counts:
        draw[:] = np.bincount(generator.integers(0, size, size), minlength=size)
    return torch.from_numpy(counts).T


def drawn_ranks(scores: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """(Q, DRAWS) float32 rank of each query's best target in each drawn gallery; ties as in ranking/counts.py.

    Args:
        scores: (Q, G) without NaN, -inf where an item is not in a query's gallery.
        targets: (Q, P) positions of the targets, -1 where a query has fewer, but at least one.
        counts: (G, DRAWS) as `item_counts`.
    """
    own = scores.gather(1, targets.clamp(min=0)).masked_fill(targets < 0, -torch.inf)
    best = own.amax(1, keepdim=True)
    place = torch.where((targets >= 0) & (own == best), targets, -1).amax(1, keepdim=True)
    index = torch.arange(scores.shape[1], device=scores.device)
    above = (scores > best) | ((scores == best) & (index > place))
    return (above.to(torch.float32) @ counts.to(scores.device)).cpu()


class GalleryDraws:
    """Collects hits under draws of the gallery, block by block.

    Args:
        ks: of the recalls.
        reference: (Q,) of all queries of the split; queries of one reference are in one block.
    """

    def __init__(self, ks: Sequence[int], reference: Tensor) -> None:
        self.ks = ks
        self.block = torch.unique(reference, return_inverse=True)[1] % BLOCKS
        self.hits = torch.zeros(len(ks), DRAWS, BLOCKS, dtype=torch.float64)
        self.queries = 0

    def add(self, positions: Tensor, scores: Tensor, targets: Tensor, counts: Tensor) -> None:
        """Add queries by their position in the split; the rest as in `drawn_ranks`. One without a target is none."""
        answered = (targets >= 0).any(1)
        ranks = drawn_ranks(scores[answered], targets[answered], counts)
        member = torch.nn.functional.one_hot(self.block[positions.cpu()][answered.cpu()], BLOCKS).double()
        for total, k in zip(self.hits, self.ks, strict=True):
            total += (ranks < k).double().T @ member
        self.queries += len(ranks)

    def recalls(self, prefix: str = "") -> dict[str, Tensor]:
        """{"<prefix>recall_at_k": (DRAWS, B) percent that each block adds to the recall}, over the queries added."""
        percent = 100 * self.hits / max(1, self.queries)
        return {f"{prefix}recall_at_{k}": of_k for k, of_k in zip(self.ks, percent.float(), strict=True)}
