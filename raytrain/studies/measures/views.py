"""Measures of DVSE's views: how steady their weights are, what they know, and how many directions they span."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.config import DVSEConfig
from raytrain.evaluation import diagnostics
from raytrain.scoring.view_weights import BATCH_SIZE, WeightMeasures, weight_measures
from raytrain.studies.measured_run import MeasuredRun

MOST_PAIRS = 4096


def effective_rank(run: MeasuredRun) -> float | None:
    """Mean effective rank of the views of validation images, 1 to K; None at K = 1."""
    _, gallery = run.embedded
    return diagnostics.effective_rank(gallery) if gallery.ndim == 3 and gallery.shape[1] > 1 else None


def weight_variation(run: MeasuredRun) -> float | None:
    """`WeightMeasures.pair_variation` over batches of the run's own size of its training split; None at K = 1."""
    query, gallery = run.embedded_pairs("train", MOST_PAIRS)
    measures = _weight_measures(
        run, query, gallery, torch.arange(len(query)), int(run.record.config["optim.batch_size"])
    )
    return None if measures is None else measures.pair_variation


def weight_accuracy(run: MeasuredRun) -> float | None:
    """`WeightMeasures.correlation` over batches of the validation split, as `evaluate --diagnostics`; None at K = 1."""
    query, gallery = run.embedded
    measures = _weight_measures(run, query.float(), gallery.float(), run.similarity[1], BATCH_SIZE)
    return None if measures is None else measures.correlation


def _weight_measures(
    run: MeasuredRun, query: Tensor, gallery: Tensor, owner: Tensor, batch_size: int
) -> WeightMeasures | None:
    """See `weight_measures`; None of one view, and of batches of fewer than 3 images, at most half of all."""
    config = run.config.method
    assert isinstance(config, DVSEConfig)
    if config.views == 1 or min(batch_size, len(gallery) // 2) < 3:
        return None
    return weight_measures(query, gallery, owner, config, batch_size)
