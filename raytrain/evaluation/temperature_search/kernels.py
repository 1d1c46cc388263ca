"""Compiled loops of the temperature search; importing this module needs numba (the extra `fast`).

They release the GIL, so that threads can divide the rows of a matrix. `log_means` and `many_temperatures` describe what
they compute, and compute the same with PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

WIDTH = 128  # columns of a tile: 8 mantissas x 4 rows x 128 doubles stay in a core's first two caches
CHUNK = 128  # columns that are skipped together where none of them can count
# 1 / n! of exp's series; on |y| <= 0.35 the remainder is below 1e-17 of the value
C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13 = (1 / math.factorial(n) for n in range(14))


class Compiler(Protocol):
    def __call__(self, function: F) -> F: ...


def compiled(reorder_sums: bool) -> Compiler:
    """A decorator that compiles a function; `reorder_sums` permits another order and fusion of float operations."""
    flags = {"reassoc", "contract", "nsz"} if reorder_sums else False

    def compile_it(function: F) -> F:
        return cast(F, numba.njit(nogil=True, cache=True, fastmath=flags)(function))

    return compile_it


@compiled(reorder_sums=False)
def _add_four(sums: np.ndarray, top: int, height: int, a: float, b: float, c: float, d: float) -> None:
    sums[top] += a
    if height > 1:
        sums[top + 1] += b
    if height > 2:
        sums[top + 2] += c
    if height > 3:
        sums[top + 3] += d


@compiled(reorder_sums=True)
def add_powers(
    scores: np.ndarray,
    row_shift: np.ndarray,
    column_shift: np.ndarray,
    row_skip: np.ndarray,
    column_skip: np.ndarray,
    step: float,
    halvings: int,
    doublings: int,
    steps: int,
    octaves: int,
    row_sums: np.ndarray,
    column_sums: np.ndarray,
) -> None:
    """Add exp(scale_k (score - row shift - column shift)) to the sums of rows and of columns, for each scale of a grid.

    One exponential per entry, e = exp(step (score - shifts)), as the series of its 2**halvings-th root; the mantissas
    e^steps ... e^(2 steps - 1) follow by multiplication, and each octave by squaring the one before it.

    Args:
        scores: (R, N) float32.
        row_shift, column_shift: (R,) and (N,) float64.
        row_skip, column_skip: (R,) column of each row's entry, and (N,) row of each column's entry, that are left out
            of all sums; indices outside the block leave nothing out.
        step: first scale of the grid / steps.
        halvings: see above.
        doublings: logarithm of steps to the base 2.
        steps, octaves: of the grid.
        row_sums: (K, R) float64, added to; K = octaves * steps.
        column_sums: (K, at least N rounded up to WIDTH) float64, added to.
    """
    rows, columns = scores.shape
    powers = np.empty((steps, 4, WIDTH))
    base = np.zeros((4, WIDTH))
    squares = np.empty(WIDTH)
    root = step / 2.0**halvings
    for left in range(0, columns, WIDTH):
        width = min(WIDTH, columns - left)
        for top in range(0, rows, 4):
            height = min(4, rows - top)
            for r in range(4):
                if r < height:
                    row, shift = scores[top + r], row_shift[top + r]
                    for c in range(width):
                        y = (np.float64(row[left + c]) - shift - column_shift[left + c]) * root
                        high = C7 + y * (C8 + y * (C9 + y * (C10 + y * (C11 + y * (C12 + y * C13)))))
                        base[r, c] = C0 + y * (C1 + y * (C2 + y * (C3 + y * (C4 + y * (C5 + y * (C6 + y * high))))))
                    for c in range(width, WIDTH):
                        base[r, c] = 0.0
                else:
                    for c in range(WIDTH):
                        base[r, c] = 0.0
                if r < height:
                    skipped = row_skip[top + r] - left
                    if 0 <= skipped < width:
                        base[r, skipped] = 0.0
                    for c in range(width):
                        base[r, c] = 0.0 if column_skip[left + c] == top + r else base[r, c]
                for _ in range(halvings):
                    for c in range(WIDTH):
                        base[r, c] *= base[r, c]
                for c in range(WIDTH):
                    powers[0, r, c] = base[r, c]
                for _ in range(doublings):
                    for c in range(WIDTH):
                        powers[0, r, c] *= powers[0, r, c]
            for j in range(1, steps):
                for r in range(4):
                    for c in range(WIDTH):
                        powers[j, r, c] = powers[j - 1, r, c] * base[r, c]
            # two octaves per pass over the powers: this loop is bound by writing them back
            for octave in range(0, octaves, 2):
                both = octave + 1 < octaves
                for j in range(steps):
                    k = octave * steps + j
                    twice = k + steps if both else k
                    sum0 = sum1 = sum2 = sum3 = 0.0
                    next0 = next1 = next2 = next3 = 0.0
                    p0 = powers[j, 0]
                    p1 = powers[j, 1]
                    p2 = powers[j, 2]
                    p3 = powers[j, 3]
                    below = column_sums[k, left : left + WIDTH]
                    for c in range(WIDTH):
                        v0 = p0[c]
                        v1 = p1[c]
                        v2 = p2[c]
                        v3 = p3[c]
                        sum0 += v0
                        sum1 += v1
                        sum2 += v2
                        sum3 += v3
                        below[c] += (v0 + v1) + (v2 + v3)
                        w0 = v0 * v0
                        w1 = v1 * v1
                        w2 = v2 * v2
                        w3 = v3 * v3
                        next0 += w0
                        next1 += w1
                        next2 += w2
                        next3 += w3
                        squares[c] = (w0 + w1) + (w2 + w3)
                        p0[c] = w0 * w0
                        p1[c] = w1 * w1
                        p2[c] = w2 * w2
                        p3[c] = w3 * w3
                    _add_four(row_sums[k], top, height, sum0, sum1, sum2, sum3)
                    if both:
                        _add_four(row_sums[twice], top, height, next0, next1, next2, next3)
                        below = column_sums[twice, left : left + WIDTH]
                        for c in range(WIDTH):
                            below[c] += squares[c]


@compiled(reorder_sums=True)
def _reaching(scores: np.ndarray, slack: np.ndarray, floor: np.float32) -> np.float32:
    """Number of scores - slack that reach the floor; counted in floats, which the compiler vectorises."""
    count = np.float32(0)
    for c in range(len(scores)):
        count += np.float32(1) if scores[c] - slack[c] >= floor else np.float32(0)
    return count


@compiled(reorder_sums=True)
def _reaching_each(scores: np.ndarray, slack: np.float32, floor: np.ndarray) -> np.float32:
    count = np.float32(0)
    for c in range(len(scores)):
        count += np.float32(1) if scores[c] - slack >= floor[c] else np.float32(0)
    return count


@compiled(reorder_sums=False)
def rank_rows(
    scores: np.ndarray,
    owner: np.ndarray,
    offsets: np.ndarray,
    own: np.ndarray,
    slack: np.ndarray,
    floor: np.ndarray,
    ranks: np.ndarray,
) -> None:
    """Write the rank of each row's own column among scores - offsets; of equal ones the higher index ranks above.

    Only columns with scores - slack >= floor are compared: the others rank below under every setting.

    Args:
        scores: (R, N) float32.
        owner: (R,) int64 own column of each row.
        offsets: (N, K) float64, one column per setting.
        own: (R, K) float64, score minus offset of the own column.
        slack, floor: (N,) and (R,) float32 bounds, from `many_temperatures._bounds`.
        ranks: (R, K) int32 zeros, written.
    """
    rows, columns = scores.shape
    settings = offsets.shape[1]
    for r in range(rows):
        row, place, bound, own_score, row_ranks = scores[r], owner[r], floor[r], own[r], ranks[r]
        for left in range(0, columns, CHUNK):
            right = min(columns, left + CHUNK)
            if _reaching(row[left:right], slack[left:right], bound) == 0:
                continue
            for c in range(left, right):
                if row[c] - slack[c] >= bound:
                    score, offset = row[c], offsets[c]
                    if c < place:
                        for k in range(settings):
                            row_ranks[k] += np.int32(score - offset[k] > own_score[k])
                    elif c > place:
                        for k in range(settings):
                            row_ranks[k] += np.int32(score - offset[k] >= own_score[k])


@compiled(reorder_sums=False)
def rank_columns(
    scores: np.ndarray,
    first: int,
    offsets: np.ndarray,
    best: np.ndarray,
    place: np.ndarray,
    slack: np.ndarray,
    floor: np.ndarray,
    ranks: np.ndarray,
) -> None:
    """Add the number of these rows that rank above each column's best own row, by scores minus the rows' offsets.

    Args:
        scores: (R, N) float32, the rows `first` to `first` + R of the matrix.
        first: index of the first of these rows.
        offsets: (R, K) float64 of these rows.
        best: (N, K) float64, score minus offset of the best own row.
        place: (N, K) int32 index of that row in the matrix.
        slack, floor: (R,) and (N,) float32, as in `rank_rows`.
        ranks: (N, K) int32, added to.
    """
    rows, columns = scores.shape
    settings = offsets.shape[1]
    for r in range(rows):
        row, offset, spare = scores[r], offsets[r], slack[r]
        for left in range(0, columns, CHUNK):
            right = min(columns, left + CHUNK)
            if _reaching_each(row[left:right], spare, floor[left:right]) == 0:
                continue
            for c in range(left, right):
                if row[c] - spare >= floor[c]:
                    score, own_best, column_ranks = row[c], best[c], ranks[c]
                    tied = np.int32(0)
                    for k in range(settings):
                        value = score - offset[k]
                        column_ranks[k] += np.int32(value > own_best[k])
                        tied |= np.int32(value == own_best[k])
                    if tied != 0:
                        for k in range(settings):
                            column_ranks[k] += np.int32((score - offset[k] == own_best[k]) & (first + r > place[c, k]))
