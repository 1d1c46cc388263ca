"""Recalls of composed queries under other galleries: the items that queries are ranked against are a sample too.

Another catalogue would hold other items. As in a two-way bootstrap (Owen, "The pigeonhole bootstrap", 2007), items are
drawn with replacement, apart from the queries: a draw counts each item that ranks above a query's target as often as it
was drawn. A query keeps its targets, which are part of its question. Draws depend on nothing but the gallery's size, so
that two models on one table meet the same galleries, and their differences are paired.

Letters: Q queries, G gallery items, B blocks of queries.
"""

from __future__ import annotations

import math
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
    return torch.from_numpy(counts).T.contiguous()


def drawn_ranks(scores: Tensor, targets: Tensor, counts: Tensor, k: int) -> Tensor:
    """(Q, DRAWS) float32 rank of each query's best target in each drawn gallery; ties as in ranking/counts.py.

    A target so far back that no draw brings it among the first k (by ten standard deviations) has rank inf.

    Args:
        scores: (Q, G) without NaN, -inf where an item is not in a query's gallery.
        targets: (Q, P) positions of the targets, -1 where a query has fewer, but at least one.
        counts: (G, DRAWS) as `item_counts`.
        k: of the largest recall.
    """
    own = scores.gather(1, targets.clamp(min=0)).masked_fill(targets < 0, -torch.inf)
    best = own.amax(1, keepdim=True)
    place = torch.where((targets >= 0) & (own == best), targets, -1).amax(1, keepdim=True)
    near = scores >= best
    far = near.sum(1, dtype=torch.int32) - targets.shape[1] > k + 10 * math.sqrt(k) + 10
    near[far] = False
    row, item = near.nonzero(as_tuple=True)  # few, so that adding them up is quicker than a product of matrices
    above = (scores[row, item] > best[row, 0]) | (item > place[row, 0])
    row, item = row[above].cpu(), item[above].cpu()
    first = torch.searchsorted(row, torch.arange(len(scores)))
    ranks = torch.nn.functional.embedding_bag(item, counts, first, mode="sum")
    ranks[far.cpu()] = torch.inf
    return ranks


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
        if not bool(answered.all()):
            scores, targets = scores[answered], targets[answered]
        ranks = drawn_ranks(scores, targets, counts, max(self.ks))
        member = torch.nn.functional.one_hot(self.block[positions.cpu()][answered.cpu()], BLOCKS).double()
        for total, k in zip(self.hits, self.ks, strict=True):
            total += (ranks < k).double().T @ member
        self.queries += len(ranks)

    def recalls(self, prefix: str = "") -> dict[str, Tensor]:
        """{"<prefix>recall_at_k": (DRAWS, B) percent that each block adds to the recall}, over the queries added."""
        percent = 100 * self.hits / max(1, self.queries)
        return {f"{prefix}recall_at_{k}": of_k for k, of_k in zip(self.ks, percent.float(), strict=True)}
