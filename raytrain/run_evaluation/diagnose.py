"""What `raytrain evaluate --diagnostics` adds to a result: of sets, hubs and margins, and recall by uncertainty."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from raytrain.config import DVSEConfig
from raytrain.data.table import QuerySplit
from raytrain.distributed import default_device
from raytrain.evaluation.diagnostics import calibration, hubness, margins, score_diagnostics
from raytrain.evaluation.ranking.counts import text_to_image_counts
from raytrain.scoring.embed import query_uncertainty
from raytrain.scoring.feed import Feed
from raytrain.scoring.protocol_runner import Scored
from raytrain.scoring.supervision import supervision
from raytrain.scoring.validate import diagnostics, validation_metrics
from raytrain.scoring.view_weights import weight_measures


def diagnose(scored: Scored, feed: Feed) -> dict[str, Any]:
    """{"diagnostics/...": number, ..., "calibration": bins or None} of a split, from the matrix of all its scores.

    These are the diagnostics that a run logs in each epoch (of sets, and rank correlation of the predicted
    uncertainty), and further ones of the scores: hubness and median margin of each direction
    (raytrain/evaluation/diagnostics.py), and recall at 10 by predicted uncertainty.
    """
    split, scores = scored.split, scored.matrix
    numbers: dict[str, Any] = {}
    if isinstance(split, QuerySplit):
        relevant, candidates = torch.from_numpy(split.relevant()), torch.from_numpy(split.candidates())
        ranks = validation_metrics(scored.model, scored.query, scored.gallery, split, scored.memory_mib).ranks
        query_margins = margins(scores, [(relevant & candidates, ~relevant & candidates)])
        numbers["diagnostics/hubness"] = hubness(scores.masked_fill(~candidates, -torch.inf))
        numbers["diagnostics/margin"] = float(query_margins.nanmedian())
    else:
        owner = torch.from_numpy(split.item_of_text)
        ranks = text_to_image_counts(scores, owner).ranks()
        numbers |= score_diagnostics(scores, owner) | training_diagnostics(scored, owner)
    uncertainty = query_uncertainty(scored.model, split, feed, default_device())
    numbers |= diagnostics(scored.model, ranks, scored.query, scored.gallery, uncertainty, split)
    return numbers | {"calibration": calibration(uncertainty, ranks) if uncertainty is not None else None}


def training_diagnostics(scored: Scored, owner: Tensor) -> dict[str, float]:
    """{"diagnostics/...": number} of what training would weigh and train on these embeddings; {} where it is no set.

    Of DVSE: how steady its weights are over batches of 128, and their correlation with which view is right. Of
    sets on both sides: the shares of elements that a triplet loss on the score gives a gradient.

    Args:
        owner: (M,) the image of each caption.
    """
    config = getattr(scored.model.over_features, "config", None)
    query, gallery = scored.query.float(), scored.gallery.float()
    if gallery.ndim != 3 or gallery.shape[1] == 1 or scored.model.local_features:
        return {}
    if isinstance(config, DVSEConfig) and len(gallery) >= 6:
        measures = weight_measures(query, gallery, owner, config)
        return {
            "diagnostics/weight_variation": sum(measures.variation) / len(measures.variation),
            "diagnostics/weight_pair_variation": measures.pair_variation,
            "diagnostics/weight_right_correlation": measures.correlation,
        }
    margin = getattr(config, "margin", None)
    if query.ndim != 3 or margin is None:
        return {}
    sets = supervision(scored.model.similarity, query, gallery, owner, margin)
    return {
        "diagnostics/supervised_images": sets.image_share,
        "diagnostics/supervised_texts": sets.text_share,
    }
