"""The metrics of a split that a run logs in each epoch, and diagnostics of its embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.data.table import AnySplit, QuerySplit
from raytrain.evaluation.diagnostics import rank_correlation, set_diagnostics
from raytrain.evaluation.protocols.composed import answers
from raytrain.evaluation.ranking.recall import metrics_of_counts
from raytrain.methods.base import Method
from raytrain.scoring.composed_queries import blocks_of, composed_queries
from raytrain.scoring.embed import count_pairs


@dataclass(frozen=True)
class ValidationScores:
    """Metrics of a whole split, without re-ranking.

    Attributes:
        metrics: {name: value}, of all queries against all images.
        ranks: (M,) 0-based rank of the best positive of each caption or composed query.
        scores: (M, N) of captions against images; None unless they were to be kept.
    """

    metrics: dict[str, float]
    ranks: Tensor
    scores: Tensor | None = None


def validation_metrics(
    model: Method, query: Tensor, gallery: Tensor, split: AnySplit, memory_mib: float, keep_scores: bool = False
) -> ValidationScores:
    """The metrics of embedded captions or composed queries against embedded images.

    Args:
        query: (M, ...) embeddings of the split's captions or composed queries.
        gallery: (N, ...) embeddings of its images.
        memory_mib: MiB that comparing them may hold.
        keep_scores: keep the matrix of captions against images too.

    Raises:
        NonFiniteError: a score is not finite.
    """
    if isinstance(split, QuerySplit):
        answered = answers(blocks_of(model, query, gallery, memory_mib), composed_queries(split))
        return ValidationScores(answered.metrics(), answered.counts.ranks())
    scores = torch.empty(len(query), len(gallery)) if keep_scores else None
    counts = count_pairs(model, query, gallery, torch.from_numpy(split.item_of_text), memory_mib, scores)
    return ValidationScores(metrics_of_counts(counts), counts["t2i"].ranks(), scores)


def diagnostics(
    model: Method, ranks: Tensor, query: Tensor, gallery: Tensor, uncertainty: Tensor | None, split: AnySplit
) -> dict[str, float]:
    """{"diagnostics/...": number} of a split's embeddings: of their sets, and of uncertainty against ranks.

    Args:
        ranks: (M,) of the queries.
        query: (M, ...) their embeddings.
        gallery: (N, ...) embeddings of the images.
        uncertainty: (M,) predicted for the queries; None of a method that predicts none.
    """
    owner = None if isinstance(split, QuerySplit) else torch.from_numpy(split.item_of_text).to(gallery.device)
    numbers = {} if model.local_features else set_diagnostics(query, gallery, owner)
    if uncertainty is not None:
        numbers["diagnostics/uncertainty_rank_correlation"] = rank_correlation(uncertainty, ranks)
    return numbers
