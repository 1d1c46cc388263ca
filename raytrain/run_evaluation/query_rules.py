"""Rules that draw the queries of a contact sheet, from ranks and scores alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raytrain.evaluation.contact_sheet import FIRST

Positions = NDArray[np.int64]
NUMBER = 24
"""Queries that a rule draws."""


def drawn_at_random(ranks: Positions, seed: int, number: int = NUMBER) -> Positions:
    """(n,) positions of queries that have a right answer, drawn by the seed.

    Args:
        ranks: (Q,) 0-based, -1 without a right answer.
    """
    answered = np.flatnonzero(ranks >= 0)
    return np.random.default_rng(seed).permutation(answered)[:number]


def highest(values: NDArray[np.float64], group: Positions, number: int = NUMBER) -> Positions:
    """(n,) positions of the highest finite values, best first, at most one of each group; of equals the earlier one.

    Args:
        values: (Q,); -inf or NaN leaves a query out.
        group: (Q,) such as the image of each caption: five captions of one image are one sight.
    """
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")
    order = order[np.isfinite(values[order])]
    _, earliest = np.unique(group[order], return_index=True)
    return order[np.sort(earliest)][:number]


def fall(ranks: Positions) -> NDArray[np.float64]:
    """(Q,) ranks for `highest`: the worst ranked queries. Arguments as `drawn_at_random`."""
    return np.where(ranks < 0, -np.inf, ranks).astype(np.float64)


def gain(before: Positions, after: Positions) -> NDArray[np.float64]:
    """(Q,) log of the 1-based rank before over that after, for `highest`; -inf where nothing was gained.

    A ratio of ranks: from 12 to 1 is more than from 400 to 300.
    """
    ratio = np.log1p(np.maximum(before, 0)) - np.log1p(np.maximum(after, 0))
    return np.where((before < 0) | (after < 0) | (ratio <= 0), -np.inf, ratio)


def contest(scores: Tensor) -> Tensor:
    """(Q,) how near the fifth score is to the first, 0 where they are equal, and negative elsewhere.

    The gap between both, in standard deviations of the query's scores, with its sign turned. The smaller the gap, the
    less decides the order of the first five. A gallery of fewer entries takes the last of them.

    Args:
        scores: (Q, G), larger is closer; -inf at what a query does not rank.
    """
    ranked = scores > -torch.inf
    number = ranked.sum(1, keepdim=True)
    values = scores.masked_fill(~ranked, 0.0).double()
    mean = values.sum(1, keepdim=True) / number
    spread = ((values - mean).masked_fill(~ranked, 0.0).square().sum(1, keepdim=True) / number).sqrt()
    best = scores.double().topk(min(FIRST, scores.shape[1]), dim=1).values
    last = best.gather(1, number.clamp(max=best.shape[1]) - 1)
    gap = (best[:, :1] - last)[:, 0]
    return torch.where(gap > 0, -gap / spread[:, 0], -gap)
