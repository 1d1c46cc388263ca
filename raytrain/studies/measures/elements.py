"""Measures of sets of elements: how many are ever matched, and how evenly the loss trains them."""

from __future__ import annotations

from torch.nn.functional import normalize

from raytrain.evaluation.diagnostics import ever_closest
from raytrain.scoring.supervision import supervision
from raytrain.studies.measured_run import MeasuredRun


def share_ever_best(run: MeasuredRun) -> float | None:
    """Share of the elements of validation images that are the closest of their set to a caption; None of vectors."""
    query, gallery = (normalize(side.float(), dim=-1) for side in run.embedded)
    return ever_closest(query, gallery, run.similarity[1]) if gallery.ndim == 3 else None


def gradient_evenness(run: MeasuredRun) -> float | None:
    """`Supervision.image_evenness` of the run's own score on validation; None at K = 1, and where nothing is trained.

    The margin is the run's own.
    """
    query, gallery = (side.float() for side in run.embedded)
    if gallery.ndim != 3 or gallery.shape[1] < 2:
        return None
    margin = float(run.record.config["method.margin"])
    return supervision(run.model.similarity, query, gallery, run.similarity[1], margin).image_evenness
