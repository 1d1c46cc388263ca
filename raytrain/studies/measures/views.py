"""Measures of DVSE's views: how steady their weights are, what they know, and how many directions they span.

Letters: N images, K views, B pairs of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.config import DVSEConfig
from raytrain.losses.variance_weighting import negative_variance, view_weights
from raytrain.similarity import view_similarity
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.verdict import spearman

PROBE, BATCHES, MOST_PAIRS = 16, 40, 4096


def effective_rank(run: MeasuredRun) -> float | None:
    """Mean over validation images of `effective_rank_of` their views; None at K = 1."""
    _, gallery = run.embedded
    return float(effective_rank_of(gallery).mean()) if gallery.ndim == 3 and gallery.shape[1] > 1 else None


def effective_rank_of(sets: Tensor) -> Tensor:
    """(N, K, D) -> (N,) exp of the entropy of the singular values' shares, 1 to K (Roy and Vetterli, EUSIPCO 2007)."""
    values = torch.linalg.svdvals(sets.double())
    shares = values / values.sum(-1, keepdim=True).clamp(min=1e-12)
    entropy: Tensor = torch.special.entr(shares).sum(-1)
    return entropy.exp()


def weight_variation(run: MeasuredRun) -> float | None:
    """Coefficient of variation of a view's weight for a pair over batches of the run's own size; None at K = 1.

    PROBE pairs of the training split stand in BATCHES batches, each with other pairs drawn at random.
    """
    query, gallery = run.embedded_pairs("train", MOST_PAIRS)
    if gallery.ndim != 3 or gallery.shape[1] < 2:
        return None
    batch_size = min(int(run.record.config["optim.batch_size"]), len(query))
    return weight_variation_of(query, gallery, batch_size, weights_of(run))


def weight_variation_of(query: Tensor, gallery: Tensor, batch_size: int, config: DVSEConfig, seed: int = 0) -> float:
    """See `weight_variation`.

    Args:
        query: (P, D) captions of the pairs.
        gallery: (P, K, D) views of their images.
        batch_size: B, above PROBE.
        config: whose weights are measured.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(query), generator=generator)
    probe, others = order[:PROBE], order[PROBE:]
    weights = []
    for _ in range(BATCHES):
        drawn = others[torch.randperm(len(others), generator=generator)[: batch_size - len(probe)]]
        batch = torch.cat([probe, drawn])
        weights.append(batch_weights(query[batch], gallery[batch], config)[:, : len(probe)])
    stacked = torch.stack(weights)  # (batches, K, probe)
    return float((stacked.std(0) / stacked.mean(0).clamp(min=1e-12)).mean())


def weight_accuracy(run: MeasuredRun) -> float | None:
    """Spearman's rho between a view's weight and its share of right answers, over images and views; None at K = 1."""
    query, gallery = run.embedded
    if gallery.ndim != 3 or gallery.shape[1] < 2:
        return None
    _, owner = run.similarity
    return weight_accuracy_of(query, gallery, owner, weights_of(run))


def weight_accuracy_of(query: Tensor, gallery: Tensor, owner: Tensor, config: DVSEConfig) -> float | None:
    """See `weight_accuracy`.

    Args:
        query: (M, D) captions.
        gallery: (N, K, D) views.
        owner: (M,) image of each caption.
        config: whose weights are measured; a caption's variance is over all images but its own.
    """
    by_view = view_similarity(query, gallery).permute(2, 0, 1)  # (K, M, N)
    right = by_view.argmax(2) == owner  # (K, M)
    own = torch.nn.functional.one_hot(owner, len(gallery)).bool()
    others = by_view.masked_fill(own, torch.nan)
    variance = (others - others.nanmean(2, keepdim=True)).square().nanmean(2)  # (K, M)
    weights = _normalised_weights(variance, config)
    captions = torch.zeros(len(gallery)).index_add_(0, owner, torch.ones(len(owner)))
    asked = captions > 0
    means = [
        torch.zeros(len(of), len(gallery)).index_add_(1, owner, of.float())[:, asked] / captions[asked]
        for of in (weights, right)
    ]
    correlation = spearman(means[0].flatten().tolist(), means[1].flatten().tolist())
    return None if correlation is None else correlation[0]


def batch_weights(query: Tensor, gallery: Tensor, config: DVSEConfig) -> Tensor:
    """(B, D) captions and (B, K, D) views of their images -> (K, B) weights of a caption's views in this batch."""
    scores = view_similarity(query, gallery).permute(2, 0, 1)
    return _normalised_weights(negative_variance(scores, config.variance), config)


def _normalised_weights(variance: Tensor, config: DVSEConfig) -> Tensor:
    """Weights of a config; where it has none that sum to 1, those that are proportional to 1 / variance."""
    kind = "inv" if config.weight_fn in ("none", "kendall") else config.weight_fn
    return view_weights(variance, kind, config.weight_tau)


def weights_of(run: MeasuredRun) -> DVSEConfig:
    """The settings of a run's weights."""
    config = run.model.config
    assert isinstance(config, DVSEConfig)
    return config
