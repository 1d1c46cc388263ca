r"""Whether the best of some candidates are the best of a whole gallery: a bound on the score of every other entry.

The bound. Let x_i be the vectors of the asking side, i = 1..I, and y_j those of an entry, j = 1..J. For each x_i all
entries are known that have a vector among the C nearest to x_i; t_i is the inner product of the C-th. An entry that is
known for no i has x_i . y_j <= t_i for every i and j. Where a method's score depends on the inner products alone and
never falls where one of them rises (`Method.monotone`), that entry scores at most what inner products of exactly t_i
would: the method's own score of the vectors t_i e and of J vectors e, with e any unit vector (`ceiling`).

By method, with t_i for x_i . y_j in the published sums:
    one vector, maximum, mean or soft mean over an entry's views     t
    maximum over all pairs                                           max_i t_i
    Chamfer                                                          (mean_i t_i + max_i t_i) / 2
    smooth-Chamfer, scale a      (mean_i t_i + ln J / a + ln(sum_i e^(a t_i)) / a) / 2
The last: each of the I inner sums of the first half has J terms e^(a t_i) at most; each of the J inner sums of the
second half is at most sum_i e^(a t_i), and so is their mean. No tighter bound follows from the t_i alone: an entry
whose products all equal t_i has exactly this score.

Rounding. Candidates may be found by vectors y' that are stored with fewer digits. With d the largest |y - y'| of all
stored vectors, x . y <= x . y' + |x| d. A float32 inner product of D numbers errs by at most g |x| |y| with
g = D u / (1 - D u) and u = 2^-24, in any order of summation. It is computed twice per entry, once to find candidates
and once in its own score, and once in the k-th best score: t_i is raised by |x_i| (d + 3 g (|y| + d)). Scores rise by
no more than the largest rise of an inner product, so this covers all three. What a score rounds after its inner
products is covered by a share of the score (`SCORE_ROUNDING`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.scores import Kind, scores_of

UNIT_ROUNDOFF = 2.0**-24
SCORE_ROUNDING = 2.0**-22
"""Relative error of a score per vector of both sides, beside that of its inner products."""


@dataclass(frozen=True)
class Certainty:
    """How sure it is that hits are the best of their gallery.

    Args:
        kind: "scored": every entry was compared. "proved": candidates were, and no other entry can be among the hits.
            "approximate": neither.
        compared: number of entries whose score was computed.
        recall: of approximate hits, as it was measured when the index was made: the mean share of the exact best that
            such answers held; None where nothing was measured, or every measured query was proved.
        measured_on: number of queries that this is a mean over, or that were all proved.
    """

    kind: Literal["scored", "proved", "approximate"]
    compared: int
    recall: float | None = None
    measured_on: int = 0

    def __str__(self) -> str:
        if self.kind == "scored":
            return f"exact: all {self.compared:,} were compared"
        if self.kind == "proved":
            return f"proved exact: {self.compared:,} were compared, and no other can be among the results"
        if self.recall is not None:
            return f"approximate, recall {self.recall:.3f} measured on {self.measured_on} queries"
        if self.measured_on:
            return f"approximate: not proved, unlike all {self.measured_on} queries that were measured"
        return "approximate: recall was not measured, for lack of queries"


def ceiling(model: Method, highest: Tensor, elements: int, form: tuple[torch.Size, torch.Size], of: Kind) -> Tensor:
    """(Q,) the highest score of an entry whose inner products with the I vectors of a query are at most these.

    Args:
        model: monotone.
        highest: (Q, I).
        elements: J, vectors per entry.
        form: shapes of an embedding of a query, and of an entry, without their batch dimension.
        of: what the entries are.
    """
    highest = highest.float()  # as weights of a model are
    asking = highest.new_zeros(*highest.shape, form[0][-1])
    asking[..., 0] = highest
    entry = highest.new_zeros(elements, form[1][-1])
    entry[:, 0] = 1
    return scores_of(model, asking.view(-1, *form[0]), entry.view(1, *form[1]), of, 1.0)[:, 0]


def raised(scores: Tensor, lengths: Tensor, dim: int, error: float, longest: float) -> Tensor:
    """(Q, I) float64 upper bounds of the exact inner products, and of float32 ones, of what was not found.

    Args:
        scores: (Q, I) of the last candidate, as they were computed from the stored vectors.
        lengths: (Q, I) of the asking vectors.
        dim: D.
        error: largest |y - y'| of all stored vectors.
        longest: largest |y| of all.
    """
    rounding = dim * UNIT_ROUNDOFF / (1 - dim * UNIT_ROUNDOFF)
    return scores.double() + lengths.double() * (error + 3 * rounding * (longest + error))


def is_proved(worst_hit: float, ceiling_score: float, vectors: int) -> bool:
    """Whether a hit is certainly above everything under the ceiling; equal scores are not.

    Args:
        worst_hit: score of the last hit.
        vectors: I + J, over which the method's sums run.
    """
    rounding = vectors * SCORE_ROUNDING * max(1.0, abs(worst_hit), abs(ceiling_score))
    return math.isfinite(worst_hit) and worst_hit - ceiling_score > rounding
