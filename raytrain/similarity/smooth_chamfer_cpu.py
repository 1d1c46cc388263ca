"""Smooth-Chamfer similarity on the CPU, compiled with numba: one pass over the cosines of elements.

torch's logsumexp makes several copies of all cosines. Here 128 pairs at a time stay in the first-level cache, maxima
and exponentials run over pairs in vector registers, and both directions read the cosines once. functions.py imports
this module where numba is installed; elsewhere it takes torch's path, which gives the same scores up to rounding.

Letters: Q queries, G gallery items, K elements per query, J elements per gallery item.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.similarity.compiled import compiled, on_threads

WIDTH = 128  # pairs at a time; the last block is filled up, so that a score does not depend on its pair's position
MOST_BITS = 100  # sums of n exponentials lie in [1, n]: multiply them up to 2^100, then take one logarithm

# exp(x) = 2^n exp(r) with |r| <= log(2) / 2; the polynomial is that of Cephes (expf), 2 ulp at most
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
C5, C4, C3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
C2, C1, C0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(0.5)
ZERO, ONE = np.float32(0), np.float32(1)
ONE_BITS = np.int32(0x3F800000)
ROUNDING = np.float32(3 << 22)  # added to a number, it leaves the nearest integer in the lowest bits
SMALLEST = np.float32(-87)  # exp is subnormal below; a term of 1e-38 is lost beside the largest, which is 1


def smooth_chamfer_of_cosines(cosines: Tensor, alpha: float) -> Tensor:
    """(Q, K, J, G) cosines of elements -> (Q, G), equation 2 of DivE (`raytrain.similarity.smooth_chamfer`).

    The largest cosine of every row and of every column is subtracted before the exponential: no alpha overflows, and no
    row underflows beside a larger one.

    Args:
        cosines: float32 on the CPU, contiguous.
        alpha: above 0.
    """
    queries, elements, others, items = cosines.shape
    scores = torch.empty(queries, items)
    source, target = cosines.numpy(), scores.numpy()

    def part(first: int, last: int) -> None:
        _scores(source[first:last], target[first:last], np.float32(alpha), _together(others), _together(elements))

    on_threads(part, queries)
    return scores


def _together(terms: int) -> int:
    """How many sums of `terms` exponentials may be multiplied without overflow."""
    return max(1, int(MOST_BITS / max(1.0, math.log2(terms))))


@compiled
def _scores(cosines: Any, scores: Any, alpha: Any, rows_together: int, columns_together: int) -> None:
    queries, elements, others, items = cosines.shape
    block = np.zeros((elements * others, WIDTH), np.float32)
    by_query, by_gallery = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
    query_share, gallery_share = np.float32(0.5 / (alpha * elements)), np.float32(0.5 / (alpha * others))
    for query in range(queries):
        for first in range(0, items, WIDTH):
            width = min(WIDTH, items - first)
            for k in range(elements):
                for j in range(others):
                    source, target = cosines[query, k, j], block[k * others + j]
                    for g in range(width):
                        target[g] = alpha * source[first + g]
            _sum_of_log_sums(block, elements, others, others, 1, rows_together, by_query)
            _sum_of_log_sums(block, others, 1, elements, others, columns_together, by_gallery)
            for g in range(width):
                scores[query, first + g] = query_share * by_query[g] + gallery_share * by_gallery[g]


@compiled
def _sum_of_log_sums(
    block: Any, outer: int, outer_step: int, inner: int, inner_step: int, together: int, log_sums: Any
) -> None:
    """log_sums[g] = sum over outer elements of the log of the sum over inner elements of exp(block[.., g])."""
    largest, total, product = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
    for g in range(WIDTH):
        product[g] = ONE
        log_sums[g] = ZERO
    for x in range(outer):
        start = block[x * outer_step]
        for g in range(WIDTH):
            largest[g] = start[g]
            total[g] = ZERO
        for y in range(1, inner):
            row = block[x * outer_step + y * inner_step]
            for g in range(WIDTH):
                largest[g] = row[g] if row[g] > largest[g] else largest[g]
        for y in range(inner):
            row = block[x * outer_step + y * inner_step]
            for g in range(WIDTH):
                total[g] += _exp(row[g] - largest[g])
        for g in range(WIDTH):
            log_sums[g] += largest[g]
            product[g] *= total[g]
        if (x + 1) % together == 0 or x + 1 == outer:
            for g in range(WIDTH):
                log_sums[g] += np.float32(math.log(product[g]))
                product[g] = ONE


@compiled
def _exp(x: Any) -> Any:
    """exp of a float32 number of 0 or below."""
    x = SMALLEST if x < SMALLEST else x
    shifted = np.float32(x * LOG2_E + ROUNDING)
    whole = shifted - ROUNDING
    rest = (x - whole * LN2_HIGH) - whole * LN2_LOW
    series = ((((C5 * rest + C4) * rest + C3) * rest + C2) * rest + C1) * rest + C0
    power = np.int32((np.float32(shifted).view(np.int32) << 23) + ONE_BITS)
    return (series * rest * rest + rest + ONE) * np.int32(power).view(np.float32)
