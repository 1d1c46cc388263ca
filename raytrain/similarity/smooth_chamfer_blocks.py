"""Smooth-Chamfer similarity, forward and backward, with the cosines of a few queries at a time in memory.

Autograd keeps the (Q, K, G, J) cosines of elements and several more tensors of that size. Here the cosines of a block
of queries are one matrix product; `Kernels` make scores of them, and in the backward pass, where the product is
computed again, their gradient, in place; two more products carry it to the embeddings. What is kept is the embeddings.

Letters: Q queries, G gallery items, K elements per query, J elements per gallery item, D dimensions.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raytrain.similarity.precision import full_precision

BLOCK_BYTES = 2**25
"""Of the cosines of a block, unless one query has more: they stay in the second-level cache of a data-centre GPU."""


class Kernels(Protocol):
    """What is computed of (q, K, G, J) cosines, float32 and contiguous: smooth_chamfer_triton.py, or PlainKernels."""

    def scores(self, cosines: Tensor, alpha: float) -> Tensor:
        """(q, G) smooth-Chamfer similarities (`raytrain.similarity.smooth_chamfer`)."""
        ...

    def gradient(self, cosines: Tensor, of_scores: Tensor, alpha: float) -> Tensor:
        """(q, K, G, J) gradient of the cosines, where that of the scores is (q, G); may take their place in memory.

        g (softmax_j(alpha C)_kj / 2K + softmax_k(alpha C)_kj / 2J) for the gradient g of a score.
        """
        ...


class PlainKernels:
    """Kernels by torch's own operations, on any device: what others are compared with."""

    def scores(self, cosines: Tensor, alpha: float) -> Tensor:
        scaled = alpha * cosines
        return (torch.logsumexp(scaled, 3).mean(1) + torch.logsumexp(scaled, 1).mean(2)) / (2 * alpha)

    def gradient(self, cosines: Tensor, of_scores: Tensor, alpha: float) -> Tensor:
        scaled, (elements, others) = alpha * cosines, cosines.shape[1::2]
        shares = scaled.softmax(3) / (2 * elements) + scaled.softmax(1) / (2 * others)
        return shares * of_scores[:, None, :, None]


class _InBlocks(torch.autograd.Function):
    """Scores of all pairs; the arguments are those of `in_blocks`."""

    @staticmethod
    def forward(context: Any, query: Tensor, gallery: Tensor, alpha: float, kernels: Kernels, size: int) -> Tensor:
        context.save_for_backward(query, gallery)
        context.rest = alpha, kernels, size
        with full_precision(query.device.type):
            return torch.cat([kernels.scores(_cosines(part, gallery), alpha) for part in torch.split(query, size)])

    @staticmethod
    @once_differentiable
    def backward(context: Any, of_scores: Tensor) -> tuple[Tensor | None, ...]:
        query, gallery = context.saved_tensors
        alpha, kernels, size = context.rest
        flat = gallery.flatten(0, 1)
        of_query, of_gallery = torch.empty_like(query), torch.zeros_like(flat)
        with full_precision(query.device.type):
            for first in range(0, len(query), size):
                rows = slice(first, first + size)
                part = query[rows]
                of_cosines = kernels.gradient(_cosines(part, gallery), of_scores[rows].contiguous(), alpha)
                of_cosines = of_cosines.view(part.shape[0] * part.shape[1], len(flat))
                of_query[rows] = (of_cosines @ flat).view_as(part)
                of_gallery.addmm_(of_cosines.T, part.flatten(0, 1))
        return of_query, of_gallery.view_as(gallery), None, None, None


def _cosines(query: Tensor, gallery: Tensor) -> Tensor:
    """(q, K, D) and (G, J, D) -> (q, K, G, J), contiguous."""
    return (query.flatten(0, 1) @ gallery.flatten(0, 1).T).view(*query.shape[:2], *gallery.shape[:2])


def in_blocks(query: Tensor, gallery: Tensor, alpha: float, kernels: Kernels, block_bytes: int = BLOCK_BYTES) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) smooth-Chamfer similarity, with a gradient that has no gradient of its own.

    Args:
        query, gallery: float32, L2-normalised, at least one of each.
        alpha: scale of the cosines.
        kernels: of a block.
        block_bytes: of the cosines of a block; one query is the least.
    """
    per_query = 4 * query.shape[1] * gallery.shape[0] * gallery.shape[1]
    size = max(1, block_bytes // per_query)
    return _InBlocks.apply(query, gallery, alpha, kernels, size)  # type: ignore[no-any-return, no-untyped-call]
