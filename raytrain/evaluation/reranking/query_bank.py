"""Query banks: training queries over which gallery items are normalised, instead of over the queries to rank.

With a bank, Fast Re-ranking ranks one query at a time (query-bank normalisation, Bogolin et al., CVPR 2022): the
normaliser of a gallery item is known before any query arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.evaluation.ranking.precision import refuse_half
from raytrain.evaluation.reranking.normaliser import Mode, Normaliser, check_mode, check_scale


@dataclass(frozen=True)
class QueryBank:
    """Scores of training queries against a gallery, as text-image matrices; the first n queries are a bank of n.

    Args:
        i2t: (M, B) scores of the M texts of the gallery against B training images; None for no bank.
        t2i: (B, N) scores of B training captions against the N images of the gallery; None for no bank.
        seed: of the draw of the training queries.

    Raises:
        ValueError: scores in half precision.
    """

    i2t: Tensor | None = None
    t2i: Tensor | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for scores in (self.i2t, self.t2i):
            if scores is not None:
                refuse_half(scores)

    def part(self, texts: Tensor | slice, items: Tensor | slice) -> QueryBank:
        """The bank for a part of the gallery, given by positions of texts and images; slices copy nothing."""
        i2t = None if self.i2t is None else self.i2t[texts]
        t2i = None if self.t2i is None else self.t2i[:, items]
        return QueryBank(i2t, t2i, self.seed)

    def sizes(self, direction: str) -> int:
        """Number of queries of the bank for a direction, "i2t" or "t2i"."""
        if direction == "i2t":
            return 0 if self.i2t is None else self.i2t.shape[1]
        return 0 if self.t2i is None else len(self.t2i)


class BankNormaliser:
    """Re-ranks the scores of queries as they arrive, one or many, by a bank's normaliser of each gallery item.

        normalise = BankNormaliser(bank_scores, scale=20)
        best = normalise(scores_of_one_query).argmax()

    Args:
        bank: (B, G) scores of B training queries against the gallery.
        scale, mode, beta: as in `reranking.fast_rerank`; not mtfn.

    Raises:
        ValueError: mtfn mode, an unknown mode, or a scale that is negative or NaN.
    """

    def __init__(self, bank: Tensor, scale: float, mode: Mode = "cross", beta: float = 1.0) -> None:
        check_mode(mode)
        check_scale(scale)
        # the bank itself is not kept
        self.normaliser = None if mode == "off" else Normaliser(bank, scale, mode, beta, from_bank=True)

    def __call__(self, scores: Tensor) -> Tensor:
        """(G,) or (Q, G) scores -> float64 re-ranked scores of the same shape; each query is ranked independently."""
        if self.normaliser is None:
            return scores
        rows = scores if scores.ndim == 2 else scores[None]
        ranked = self.normaliser.whole(rows)
        return ranked if scores.ndim == 2 else ranked[0]


def draw(available: int, size: int, seed: int) -> Tensor:
    """(min(size, available),) int64 positions, in the order drawn: a smaller bank is the start of a larger one."""
    order = torch.randperm(available, generator=torch.Generator().manual_seed(seed))
    return order[:size]
