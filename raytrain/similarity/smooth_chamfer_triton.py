"""Smooth-Chamfer similarity on a GPU, in Triton: the cosines of a block are read once, and written once for a gradient.

The `Kernels` of smooth_chamfer_blocks.py, whose PlainKernels read and write the block several times. functions.py
imports this module where Triton is installed, which comes with torch's CUDA builds. A program works on one query and
`ITEMS` gallery items; K and J are filled up to powers of two.

Letters: Q queries, G gallery items, K elements per query, J elements per gallery item.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

NUMBERS = 2048
"""Cosines per program."""

BELOW_ALL = tl.constexpr(-1.0e30)
"""In place of the cosines that fill up a set; finite, so that a set of nothing else gives no NaN."""


@triton.jit  # type: ignore[untyped-decorator]
def _scaled(  # type: ignore[no-untyped-def]
    cosines,
    query,
    first,
    items,
    alpha,
    K: tl.constexpr,
    J: tl.constexpr,
    KP: tl.constexpr,
    JP: tl.constexpr,
    ITEMS: tl.constexpr,
):
    """(KP, ITEMS, JP) scaled cosines of one query, their places, and which of them are real."""
    k = tl.arange(0, KP)[:, None, None]
    g = first + tl.arange(0, ITEMS)[None, :, None]
    j = tl.arange(0, JP)[None, None, :]
    real = (k < K) & (g < items) & (j < J)
    row = query.to(tl.int64) * K + k
    places = cosines + (row * items + g) * J + j
    return tl.load(places, mask=real, other=BELOW_ALL) * alpha, places, real


@triton.jit  # type: ignore[untyped-decorator]
def _score_kernel(  # type: ignore[no-untyped-def]
    cosines,
    scores,
    items,
    alpha,
    K: tl.constexpr,
    J: tl.constexpr,
    KP: tl.constexpr,
    JP: tl.constexpr,
    ITEMS: tl.constexpr,
):
    query, first = tl.program_id(0), tl.program_id(1) * ITEMS
    scaled, _, _ = _scaled(cosines, query, first, items, alpha, K, J, KP, JP, ITEMS)
    largest = tl.max(scaled, 2)
    by_element = largest + tl.log(tl.sum(tl.exp(scaled - largest[:, :, None]), 2))  # (KP, ITEMS)
    by_query = tl.sum(tl.where(tl.arange(0, KP)[:, None] < K, by_element, 0.0), 0) / K
    largest = tl.max(scaled, 0)
    by_other = largest + tl.log(tl.sum(tl.exp(scaled - largest[None, :, :]), 0))  # (ITEMS, JP)
    by_gallery = tl.sum(tl.where(tl.arange(0, JP)[None, :] < J, by_other, 0.0), 1) / J
    g = first + tl.arange(0, ITEMS)
    tl.store(scores + query.to(tl.int64) * items + g, (by_query + by_gallery) / (2 * alpha), mask=g < items)


@triton.jit  # type: ignore[untyped-decorator]
def _gradient_kernel(  # type: ignore[no-untyped-def]
    cosines,
    of_scores,
    items,
    alpha,
    K: tl.constexpr,
    J: tl.constexpr,
    KP: tl.constexpr,
    JP: tl.constexpr,
    ITEMS: tl.constexpr,
):
    query, first = tl.program_id(0), tl.program_id(1) * ITEMS
    scaled, places, real = _scaled(cosines, query, first, items, alpha, K, J, KP, JP, ITEMS)
    powers = tl.exp(scaled - tl.max(scaled, 2)[:, :, None])
    shares = powers / (tl.sum(powers, 2)[:, :, None] * (2 * K))
    powers = tl.exp(scaled - tl.max(scaled, 0)[None, :, :])
    shares += powers / (tl.sum(powers, 0)[None, :, :] * (2 * J))
    g = first + tl.arange(0, ITEMS)
    of_score = tl.load(of_scores + query.to(tl.int64) * items + g, mask=g < items, other=0.0)
    tl.store(places, shares * of_score[None, :, None], mask=real)


class TritonKernels:
    """Kernels of sets of at most 32 elements: the cosines of a pair fit the registers of a program."""

    def scores(self, cosines: Tensor, alpha: float) -> Tensor:
        scores = torch.empty(cosines.shape[0], cosines.shape[2], device=cosines.device)
        grid, sizes = _layout(cosines)
        _score_kernel[grid](cosines, scores, cosines.shape[2], alpha, **sizes)
        return scores

    def gradient(self, cosines: Tensor, of_scores: Tensor, alpha: float) -> Tensor:
        grid, sizes = _layout(cosines)
        _gradient_kernel[grid](cosines, of_scores, cosines.shape[2], alpha, **sizes)
        return cosines


def _layout(cosines: Tensor) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid of programs, and the sizes that a kernel is compiled for."""
    queries, elements, items, others = cosines.shape
    filled, others_filled = triton.next_power_of_2(elements), triton.next_power_of_2(others)
    together = max(1, NUMBERS // (filled * others_filled))
    sizes = {"K": elements, "J": others, "KP": filled, "JP": others_filled, "ITEMS": together}
    return (queries, triton.cdiv(items, together)), sizes
