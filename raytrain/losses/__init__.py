"""One function a loss: tensors in, a scalar out. Config, devices and logging stay outside."""

from raytrain.losses.contrastive import cross_sample, info_nce, likely_positives
from raytrain.losses.discrepancy import discrepancy
from raytrain.losses.diversity import exponential_diversity, gram_diversity
from raytrain.losses.multi_grained import blurred, multi_grained
from raytrain.losses.orthogonality import view_orthogonality
from raytrain.losses.triplet import set_triplet, triplet
from raytrain.losses.variance_weighting import variance_weighted_triplet, view_weights
from raytrain.losses.wasserstein import wasserstein

__all__ = [
    "blurred",
    "cross_sample",
    "discrepancy",
    "exponential_diversity",
    "gram_diversity",
    "info_nce",
    "likely_positives",
    "multi_grained",
    "set_triplet",
    "triplet",
    "variance_weighted_triplet",
    "view_orthogonality",
    "view_weights",
    "wasserstein",
]
