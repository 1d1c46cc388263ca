"""Plain loops over sorted lists, from the definitions: what one query with several positives is worth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from raytrain.evaluation.protocols.composed import Blocks, block_rows


def ordered(scores: Sequence[float], left_out: Collection[int] = ()) -> list[int]:
    """Positions, best first; of equal scores the higher position stands first."""
    places = [at for at in range(len(scores)) if at not in left_out]
    return sorted(places, key=lambda at: (scores[at], at), reverse=True)


def rank(order: Sequence[int], positives: Collection[int]) -> int:
    """Of the first positive, from 0; -1 without one."""
    return next((place for place, at in enumerate(order) if at in positives), -1)


def losing_ties(scores: Sequence[float], positives: Collection[int]) -> int:
    """Rank of the best positive, from 0, where every equal score of what is none stands above it; -1 without one."""
    if not positives:
        return -1
    best = max(scores[at] for at in positives)
    return sum(score > best or (score == best and at not in positives) for at, score in enumerate(scores))


def precisions(order: Sequence[int], positives: Collection[int]) -> tuple[float, float]:
    """(R-precision, AP@R); NaN without a positive."""
    number = len(positives)
    if not number:
        return float("nan"), float("nan")
    right, total = 0, 0.0
    for place, at in enumerate(order[:number], start=1):
        if at in positives:
            right += 1
            total += right / place
    return right / number, total / number


def recall(ranks: Sequence[int], k: int) -> float:
    """Percent of the queries that have a positive."""
    answered = [place for place in ranks if place >= 0]
    return 100 * sum(place < k for place in answered) / len(answered)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def blocks_of(similarity: Tensor) -> Blocks:
    """The blocks of (Q, N) scores that are known already."""

    def blocks(rows: Tensor, columns: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        step = block_rows(similarity.shape[1] if columns is None else len(columns))
        for chunk in torch.split(rows, step):
            scores = similarity[chunk]
            yield chunk, scores if columns is None else scores[:, columns]

    return blocks
