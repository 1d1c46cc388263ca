"""Normalisers of Fast Re-ranking: what a direction subtracts from the scores, or adds to them; in float64 throughout.

At a large scale an item's normaliser is close to the score of its best query, and their small difference decides the
order. float32 rounds it away; float64 does so as well where B, the query's share of the softmax, is nearly 1. In cross
mode a share above 0.9 is therefore ranked by its odds B / (1 - B), from the sum over the *other* queries, where nothing
cancels: by log B up to 0.9, by log(B / (1 - B)) + log(0.1) above. The two meet at 0.9 and both grow with B, so that the
order is that of B. At most one query of an item has such a share.

Scores are re-ranked block by block, so that no second matrix of the size of the first exists.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from raytrain.evaluation.reranking.mutual_rank import resorted

Mode = Literal["cross", "product", "additive", "mtfn", "own_row", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)
SOFTMAX_MODES: tuple[Mode, ...] = ("cross", "product", "additive")
SEARCHED_MODES: tuple[Mode, ...] = (*SOFTMAX_MODES, "mtfn")  # own_row ranks as off does
BLOCK_ELEMENTS = 2**20  # numbers per float64 temporary

Places = Tensor | slice
"""Some rows or columns of a matrix."""

EVERY = slice(None)
SATURATED = 0.9  # shares of a softmax above are ranked by their odds


class Normaliser:
    """The re-ranking of one direction: maps any block of the scores to float64 scores that order each query's gallery.

    Args:
        source: (Q, G) scores of the queries that are normalised over, or (G, Q) where `queries` is 1: the scores to
            rank, or those of a bank of other queries (query-bank normalisation, Bogolin et al., CVPR 2022).
        scale, mode, beta: as in `fast_reranking.fast_rerank`; not off.
        queries: dimension of the queries.
        from_bank: whether `source` holds the scores of a bank. In additive mode a query then counts as one more of the
            bank, so that B stays below 1.

    Raises:
        ValueError: an unknown mode, a scale that is negative or NaN, or a bank in mtfn or own_row mode.
    """

    def __init__(
        self, source: Tensor, scale: float, mode: Mode, beta: float = 1.0, queries: int = 0, from_bank: bool = False
    ) -> None:
        check_mode(mode)
        check_scale(scale)
        if mode == "mtfn" and from_bank:
            raise ValueError("mtfn mode sorts by the places among the other queries; it takes no bank")
        if mode == "own_row" and from_bank:
            raise ValueError("own_row mode normalises along a query's own scores; it takes no bank")
        self.scale, self.mode, self.beta, self.queries, self.from_bank = scale, mode, beta, queries, from_bank
        self.number = source.shape[queries]
        self.best: Tensor | None = None
        if mode == "mtfn":
            places = resorted(source if queries == 0 else source.T, int(scale))
            self.table = places if queries == 0 else places.T
            return
        self.table = log_mean_exp(source, scale, dim=1 - queries if mode == "own_row" else queries)
        if mode == "additive" and math.isinf(scale) and not from_bank:  # the best queries of an item share its bonus
            parts = _row_blocks(source)
            counts = [(source[part] == self._of(part, EVERY)).double().sum(queries, keepdim=True) for part in parts]
            self.shared = _joined(counts, queries)
        if mode == "cross" and not from_bank and self.number > 1 and 0 < scale < math.inf:
            self._keep_order(source)

    def _keep_order(self, source: Tensor) -> None:
        """Find each item's best query, and what is subtracted from its score instead."""
        top, self.best = source.max(self.queries)
        rest = log_mean_exp(source, self.scale, self.queries, self.best).flatten()
        self.best_offset = offset_of_best(top.double(), self.table.flatten(), rest, self.scale, self.number)

    def __call__(self, scores: Tensor, rows: Places = EVERY, columns: Places = EVERY) -> Tensor:
        """(r, c) float64 scores that rank a block of the matrix.

        Args:
            scores: (r, c) block of the scores to rank.
            rows, columns: where the block stands in the matrix.
        """
        ranked = self.written_out(scores, rows, columns)
        if self.best is None:
            return ranked
        asked, items = (rows, columns) if self.queries == 0 else (columns, rows)
        position = torch.full((self.number,), -1, device=scores.device)
        position[asked] = torch.arange(scores.shape[self.queries], device=scores.device)
        query = position[self.best[items]]
        item = (query >= 0).nonzero()[:, 0]
        query, offset = query[item], self.best_offset[items][item]
        row, column = (query, item) if self.queries == 0 else (item, query)
        ranked[row, column] = scores[row, column].double() - offset
        return ranked

    def written_out(self, scores: Tensor, rows: Places = EVERY, columns: Places = EVERY) -> Tensor:
        """As `__call__`, but by the formula of the mode in float64, which ties shares that are nearly 1."""
        if self.mode == "mtfn":
            return -self.table[rows][:, columns].double()
        wide, log_mean = scores.double(), self._of(rows, columns)
        if self.mode in ("cross", "own_row"):
            return wide - log_mean
        if self.mode == "product":
            return wide - log_mean / 2
        if math.isinf(self.scale):
            best = (wide == log_mean).double()
            share = (wide > log_mean) + best / 2 if self.from_bank else best / self._of(rows, columns, self.shared)
        elif self.from_bank:
            share = torch.sigmoid((wide - log_mean) * self.scale - math.log(self.number))
        else:
            share = ((wide - log_mean) * self.scale).exp() / self.number
        return wide + self.beta * share

    def whole(self, scores: Tensor) -> Tensor:
        """`written_out` of a whole matrix, with temporaries of a few rows."""
        out = torch.empty(scores.shape, dtype=torch.float64, device=scores.device)
        for part in _row_blocks(scores):
            out[part] = self.written_out(scores[part], part)
        return out

    def _of(self, rows: Places, columns: Places, table: Tensor | None = None) -> Tensor:
        """The part of a table of gallery items (own_row: of queries) that belongs to a block: (1, c) or (r, 1)."""
        table = self.table if table is None else table
        return table[:, columns] if (self.queries == 0) != (self.mode == "own_row") else table[rows]


def offset_of_best(top: Tensor, log_mean: Tensor, log_rest: Tensor, scale: float | Tensor, number: int) -> Tensor:
    """(..., G) what cross mode subtracts from the score of each item's best query.

    Args:
        top: (G,) that score.
        log_mean: (..., G) log-mean-exp over all queries.
        log_rest: (..., G) the same without the best query, divided by the number of all.
        scale: inverse temperature.
        number: of queries.
    """
    saturated = (top - log_mean) * scale > math.log(SATURATED * number)
    return torch.where(saturated, log_rest - math.log(1 - SATURATED) / scale, log_mean)


def log_mean_exp(similarity: Tensor, scale: float, dim: int, left_out: Tensor | None = None) -> Tensor:
    """log(mean(exp(scale * similarity))) / scale along `dim`, kept as 1, float64: mean at scale 0, maximum at inf.

    Args:
        similarity: (Q, G) or (G, Q).
        scale: from 0 to inf.
        dim: of the queries.
        left_out: (G,) a query per item that is left out of the sum, but not of the number that it is divided by.
    """
    number, parts = similarity.shape[dim], _row_blocks(similarity)

    def block(part: slice) -> Tensor:
        scores = similarity[part].to(torch.float64, copy=True)  # changed in place below
        if left_out is None:
            return scores
        if dim == 1:
            return scores.scatter_(1, left_out[part, None], -torch.inf)
        inside = ((left_out >= part.start) & (left_out < part.stop)).nonzero()[:, 0]
        scores[left_out[inside] - part.start, inside] = -torch.inf
        return scores

    tops = [block(part).amax(dim, keepdim=True) for part in parts]
    if dim == 0:
        top = torch.stack(tops).amax(0)
        tops = [top] * len(parts)
    else:
        top = torch.cat(tops)
    if math.isinf(scale):
        return top
    if scale == 0:
        return _joined([block(part).sum(dim, keepdim=True) for part in parts], dim) / number
    lows = (similarity[part].amin(dim, keepdim=True) for part in parts)
    spread = max(float((high - low).max()) for high, low in zip(tops, lows, strict=True))
    # near 1, the mean is kept as its distance from 1, so that its logarithm keeps its digits
    near = spread * scale < 1 and left_out is None
    sums = []
    for part, high in zip(parts, tops, strict=True):
        below = block(part).sub_(high).mul_(scale)
        sums.append((below.expm1_() if near else below.exp_()).sum(dim, keepdim=True))
    mean = _joined(sums, dim) / number
    return top + (mean.log1p() if near else mean.log()) / scale  # the largest term is 1: it cannot vanish


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Sums of blocks of rows: added up along dim 0, concatenated along dim 1."""
    return torch.stack(parts).sum(0) if dim == 0 else torch.cat(parts)


def _row_blocks(matrix: Tensor) -> list[slice]:
    rows = max(1, BLOCK_ELEMENTS // max(1, matrix.shape[1]))
    return [slice(first, first + rows) for first in range(0, len(matrix), rows)]


def check_scale(scale: float) -> None:
    """Raise ValueError for a scale without a meaning."""
    if math.isnan(scale) or scale < 0:
        raise ValueError(f"scale is {scale}; give an inverse temperature from 0 to inf")


def check_mode(mode: str) -> None:
    """Raise ValueError for a mode that does not exist."""
    if mode not in MODES:
        raise ValueError(f"re-ranking has no mode {mode!r}. Modes: {', '.join(MODES)}.")
