"""The k highest scores of each query, exact, equal scores in the order of the gallery."""

from __future__ import annotations

import torch
from torch import Tensor


def top_k(scores: Tensor, k: int) -> list[Tensor]:
    """Q tensors with the positions of each query's k highest scores, best first; fewer where fewer are finite.

    Args:
        scores: (Q, G), larger is closer; minus infinity at what a query does not rank.
        k: at least 1.
    """
    best = scores.topk(min(k, scores.shape[1]), dim=1).values
    ranked = []
    for row, highest in zip(scores, best, strict=True):
        candidates = ((row >= highest[-1]) & (row > -torch.inf)).nonzero()[:, 0]
        order = row[candidates].argsort(descending=True, stable=True)  # topk orders equal scores as it likes
        ranked.append(candidates[order][:k])
    return ranked
