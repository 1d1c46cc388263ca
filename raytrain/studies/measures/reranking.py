"""Ranks of a trained run under re-ranking, from its kept validation similarities: answers of the rerank studies."""

from __future__ import annotations

import torch

from raytrain.data.table import Split
from raytrain.errors import UsageError
from raytrain.evaluation.protocols.protocols import evaluate
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
