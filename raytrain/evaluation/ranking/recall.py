"""Recall, median and mean rank from 0-based ranks, and the metrics of image-text retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts, image_to_text_counts, text_to_image_counts

Direction = Literal["i2t", "t2i"]
DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i")
KS = (1, 5, 10)
COMPOSED_KS = (1, 10, 50)


def recall_at(ranks: Tensor, k: int) -> float:
    """Percent of the queries with a positive whose best positive is among the first k.

    Args:
        ranks: (Q,) 0-based, -1 where a query has no positive; such queries are not in the denominator.

    Raises:
        ValueError: k below 1, or no query with a positive.
    """
    if k < 1:
        raise ValueError(f"k is {k}; recall counts the first k >= 1 items")
    answered = _with_positive(ranks)
    return 100.0 * int((answered < k).sum()) / len(answered)


def median_rank(ranks: Tensor) -> float:
    """Median rank, 1-based: floor(median) + 1, as published evaluators print it."""
    return float(torch.quantile(_with_positive(ranks).double(), 0.5).floor()) + 1


def mean_rank(ranks: Tensor) -> float:
    """Mean rank, 1-based."""
    return float(_with_positive(ranks).double().mean()) + 1


def image_text_metrics(similarity: Tensor, item_of_text: Tensor, ks: Sequence[int] = KS) -> dict[str, float]:
    """{"i2t/recall_at_1": ..., "t2i/recall_at_10": ..., "rsum": ..., "i2t/median_rank": ..., ...}.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        ks: cut-offs; "rsum" is the sum of all recalls in percent, at most 600 for three of them.
    """
    return metrics_of_counts(
        {"i2t": image_to_text_counts(similarity, item_of_text), "t2i": text_to_image_counts(similarity, item_of_text)},
        ks,
    )


def metrics_of_counts(counts: dict[Direction, Counts], ks: Sequence[int] = KS) -> dict[str, float]:
    """The metrics of one or both directions; names as in `image_text_metrics`.

    "i2t/tied_percent" is the percentage of queries whose best positive ties with an item that is not relevant;
    "pessimistic_rsum" is rsum when each of these ties is lost.
    """
    metrics: dict[str, float] = {}
    rsum = pessimistic = 0.0
    for direction, count in counts.items():
        ranks, worst = count.ranks(), count.ranks("pessimistic")
        recalls = {f"{direction}/recall_at_{k}": recall_at(ranks, k) for k in ks}
        rsum += sum(recalls.values())
        pessimistic += sum(recall_at(worst, k) for k in ks)
        metrics |= recalls
        metrics[f"{direction}/median_rank"] = median_rank(ranks)
        metrics[f"{direction}/mean_rank"] = mean_rank(ranks)
        tied = _with_positive(count.tied, count.better >= 0)
        metrics[f"{direction}/tied_percent"] = 100.0 * int((tied > 0).sum()) / len(tied)
    return metrics | {"rsum": rsum, "pessimistic_rsum": pessimistic}


def _with_positive(values: Tensor, answered: Tensor | None = None) -> Tensor:
    kept = values[values >= 0 if answered is None else answered]
    if len(kept) == 0:
        raise ValueError(f"none of {len(values)} queries has a positive: there is nothing to average")
    return kept
