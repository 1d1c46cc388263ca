"""Ranks of a trained run under re-ranking, from its kept validation similarities: answers of the rerank studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raytrain.data.table import Split
from raytrain.errors import UsageError
from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.ranking.recall import KS
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank, draw
from raytrain.evaluation.significance import Ranks
from raytrain.run_evaluation.rescore import bank_scores
from raytrain.studies.measured_run import MeasuredRun, ranks_of


def normalised(run: MeasuredRun, way: str, scale: float) -> Ranks:
    """Ranks after a softmax of scale * similarity along rows (captions), columns (images) or both, or `cross`.

    The first three rank both directions by one matrix; `cross` normalises each direction over its own queries.
    """
    scores, owner = run.similarity
    if way == "cross":
        return _ranks(run, Temperatures("cross", scale, scale))
    logits = scale * scores.double()
    wide = 2 * logits if way == "both" else logits  # log of the product of two softmaxes
    # along a query's own row the same number is subtracted from all its scores: it is left out, so that rounding does
    # not change the order of near ties
    t2i = wide if way == "rows" else wide - logits.logsumexp(0, keepdim=True)
    i2t = wide if way == "columns" else wide - logits.logsumexp(1, keepdim=True)
    return ranks_of(t2i, owner, i2t)


def chosen_on_others(run: MeasuredRun, scales: Sequence[float], seed: int = 0) -> Ranks:
    """Ranks of each half of the images and of their captions, at the scale that is best for the other half (cross).

    Best is the largest sum of the recalls of both directions; all queries of the split are normalised over.
    """
    scores, owner = run.similarity
    half = torch.zeros(scores.shape[1], dtype=torch.bool)
    half[draw(len(half), len(half) // 2, seed)] = True
    in_half = {"i2t": half.numpy(), "t2i": half[owner].numpy()}
    by_scale = [normalised(run, "cross", scale) for scale in scales]

    def recalls(ranks: Ranks, of_half: bool) -> float:
        chosen = {name: np.asarray(ranks[name])[mask == of_half] for name, mask in in_half.items()}
        return float(sum((places[places >= 0] < k).mean() for places in chosen.values() for k in KS))

    ranks = {name: np.empty(len(mask), np.int64) for name, mask in in_half.items()}
    for of_half in (True, False):
        best = max(by_scale, key=lambda ranks: recalls(ranks, not of_half))
        for name, mask in in_half.items():
            ranks[name][mask == of_half] = np.asarray(best[name])[mask == of_half]
    return {**ranks, "item_of_text": owner.numpy()}


def over_share(run: MeasuredRun, share: float, scale: float, seed: int = 0) -> Ranks:
    """Ranks where scores are normalised over a random share of the queries of each direction."""
    scores, _ = run.similarity
    texts, images = (max(1, round(share * size)) for size in scores.shape)
    chosen_texts, chosen_images = draw(len(scores), texts, seed), draw(scores.shape[1], images, seed)
    # kept scores are mapped from a file; a bank holds its part of them
    bank = QueryBank(scores[:, chosen_images].clone(), scores[chosen_texts].clone(), seed)
    return _ranks(run, Temperatures("cross", scale, scale, i2t_bank=images, t2i_bank=texts), bank)


def over_bank(run: MeasuredRun, size: int, scale: float, seed: int = 0) -> Ranks:
    """Ranks where scores are normalised over training images and training captions alone, at most `size` of each."""
    train, val = run.split("train"), run.split("val")
    if not isinstance(train, Split) or not isinstance(val, Split):
        raise UsageError(
            f"{run.record.folder.name} answers composed queries; Fast Re-ranking is of images and captions"
        )
    bank = bank_scores(run.model, run.feed, train, val, (size, size), seed)
    temperatures = Temperatures("cross", scale, scale, i2t_bank=bank.sizes("i2t"), t2i_bank=bank.sizes("t2i"))
    return _ranks(run, temperatures, bank)


def _ranks(run: MeasuredRun, temperatures: Temperatures, bank: QueryBank | None = None) -> Ranks:
    scores, owner = run.similarity
    result = evaluate(torch.as_tensor(scores), owner, "split/val", temperatures, bank)
    return {**{name: ranks.numpy() for name, ranks in result.ranks.items()}, "item_of_text": owner.numpy()}
