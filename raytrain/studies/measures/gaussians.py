"""Measures of RAU's Gaussians: how uncertain queries and targets are, and how far apart the two clouds lie."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.data.load.batches import image_batches, query_batches, to_device
from raytrain.distributed import default_device
from raytrain.encoders.gaussian import UncertaintyBlocks
from raytrain.evaluation.diagnostics import calibration
from raytrain.losses.wasserstein import wasserstein_loss
from raytrain.methods.composed import Composed
from raytrain.methods.rau import RAU
from raytrain.scoring.embed import query_uncertainty
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures.composed import queries_of


def sigma_of_queries(run: MeasuredRun) -> float | None:
    """Mean standard deviation over the validation queries and dimensions; None without blocks."""
    gaussians = _of_queries(run)
    return None if gaussians is None else float((gaussians[1] / 2).exp().mean())


def sigma_of_targets(run: MeasuredRun) -> float | None:
    """Mean standard deviation over the validation images and dimensions; None without blocks of targets."""
    gaussians = _of_targets(run)
    return None if gaussians is None else float((gaussians[1] / 2).exp().mean())


def recall_by_sigma(run: MeasuredRun, number: int, bins: int, k: int) -> float | None:
    """Recall at k, in percent, of one of `bins` equal parts of the validation queries by predicted sigma.

    Args:
        number: of the part, 0 the most certain one.

    Returns:
        None without blocks, and of a part without queries.
    """
    sigma = query_uncertainty(run.model, queries_of(run), run.feed, default_device())
    if sigma is None:
        return None
    parts = calibration(sigma, torch.as_tensor(run.ranks["query"]), k, bins)
    return parts[number]["recall"] if number < len(parts) else None


def means_of_queries(run: MeasuredRun) -> Tensor | None:
    """(Q, D) means of the validation queries; None without blocks."""
    gaussians = _of_queries(run)
    return None if gaussians is None else gaussians[0]


def means_of_targets(run: MeasuredRun) -> Tensor | None:
    """(N, D) means of the validation images; None without blocks of targets."""
    gaussians = _of_targets(run)
    return None if gaussians is None else gaussians[0]


def cloud_distance(run: MeasuredRun) -> float | None:
    """`distance_of_clouds` of the means of queries and of images; None without blocks of both."""
    queries, targets = means_of_queries(run), means_of_targets(run)
    return None if queries is None or targets is None else distance_of_clouds(queries, targets)


def distance_of_clouds(a: Tensor, b: Tensor) -> float:
    """2-Wasserstein distance of the Gaussians with diagonal covariances that fit (N, D) and (M, D) points."""
    statistics = [(points.mean(0), points.var(0).clamp(min=1e-12).log()) for points in (a.double(), b.double())]
    return float(wasserstein_loss(*statistics[0], *statistics[1], root=True))


@torch.no_grad()
def _of_queries(run: MeasuredRun) -> tuple[Tensor, Tensor] | None:
    """(Q, D) means and log variances of the last block of the source; None without blocks."""
    model, split = _rau(run), queries_of(run)
    if model.source_blocks is None:
        return None
    batches = query_batches(split, torch.arange(len(split)).numpy(), run.feed.images, run.feed.texts)
    features = [model.compose(run.model.with_regions(to_device(batch, default_device()))) for batch in batches]
    return _last_block(model.source_blocks, torch.cat(features))


@torch.no_grad()
def _of_targets(run: MeasuredRun) -> tuple[Tensor, Tensor] | None:
    """(N, D) means and log variances of the last block of targets; None without blocks."""
    model, split = _rau(run), queries_of(run)
    blocks = model.source_blocks if model.for_targets and model.config.shared_blocks else model.target_blocks
    if blocks is None:
        return None
    batches = image_batches(split.items, run.feed.images)
    features = [
        Composed.encode_gallery(model, run.model.with_regions(to_device(batch, default_device()))) for batch in batches
    ]
    return _last_block(blocks, torch.cat(features))


def _last_block(blocks: UncertaintyBlocks, features: Tensor) -> tuple[Tensor, Tensor]:
    """Without noise."""
    gaussians = blocks(features, features.new_zeros(len(blocks.blocks), *features.shape))
    return gaussians.mean[-1].cpu(), gaussians.log_variance[-1].cpu()


def _rau(run: MeasuredRun) -> RAU:
    model = run.model.over_features
    assert isinstance(model, RAU)
    return model
