"""Similarities between queries and gallery items, as pure functions of L2-normalised embeddings.

Letters: Q queries, G gallery items, K embeddings a query, J embeddings a gallery item, D dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, D) and (G, D) -> (Q, G) cosine of each pair."""
    return query @ gallery.T


def view_similarity(query: Tensor, gallery: Tensor) -> Tensor:
    """Cosine of each query vector with each view of each gallery item (DVSE).

    Args:
        query: (Q, D), L2-normalised.
        gallery: (G, K, D), L2-normalised.

    Returns:
        (Q, G, K)
    """
    items, views, dim = gallery.shape
    return (query @ gallery.reshape(items * views, dim).T).reshape(len(query), items, views)


def pool_views(similarity: Tensor, score: str, scale: float = 16.0, weights: Tensor | None = None) -> Tensor:
    """(..., K) view scores -> (...) one score, and at K = 1 the view's own.

    Args:
        similarity: (..., K), larger is closer.
        score: "max"; "mean"; "log_mean_exp", (1/scale) log mean exp(scale S), between the two; "learned", weighted.
        scale: of log_mean_exp.
        weights: (K) of learned, summing to 1.
    """
    if score == "max":
        return similarity.amax(-1)
    if score == "mean":
        return similarity.mean(-1)
    if score == "log_mean_exp":
        return (torch.logsumexp(scale * similarity, -1) - math.log(similarity.shape[-1])) / scale
    if score == "learned":
        assert weights is not None
        return similarity @ weights
    raise ValueError(f"no view score '{score}'; there are max, mean, log_mean_exp and learned")
