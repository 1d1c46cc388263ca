"""What the embeddings of a split are worth: the metrics that each epoch logs, and what the embeddings look like."""

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
    """What the scores of a split are worth, by the whole split and without re-ranking.

    Attributes:
        metrics: of the split.
        ranks: (M,) of the captions or composed queries.
        scores: (M, N) of captions against images, where they were asked for.
    """

    metrics: dict[str, float]
    ranks: Tensor
    scores: Tensor | None = None


def validation_metrics(
    model: Method, query: Tensor, gallery: Tensor, split: AnySplit, memory_mib: float, keep_scores: bool = False
) -> ValidationScores:
    """The metrics of embedded captions or composed queries against embedded images.

    Args:
        memory_mib: what is held while they are compared.
        keep_scores: whether the whole matrix of captions against images is wanted too.
    """
    if isinstance(split, QuerySplit):
        found = answers(blocks_of(model, query, gallery, memory_mib), composed_queries(split))
        return ValidationScores(found.metrics(), found.counts.ranks())
    keep = torch.empty(len(query), len(gallery)) if keep_scores else None
    counts = count_pairs(model, query, gallery, torch.from_numpy(split.item_of_text), memory_mib, keep)
    return ValidationScores(metrics_of_counts(counts), counts["t2i"].ranks(), keep)


def diagnostics(
    model: Method, ranks: Tensor, query: Tensor, gallery: Tensor, uncertainty: Tensor | None, split: AnySplit
) -> dict[str, float]:
    """What the embeddings of a split look like, and whether the uncertain queries are those of bad (M,) ranks."""
    owner = None if isinstance(split, QuerySplit) else torch.from_numpy(split.item_of_text).to(gallery.device)
    found = {} if model.local_features else set_diagnostics(query, gallery, owner)
    if uncertainty is not None:
        found["diagnostics/uncertainty_rank_correlation"] = rank_correlation(uncertainty, ranks)
    return found
