"""Losses: one function per loss, tensors in, a scalar out. Config, devices and logging stay outside."""

from raytrain.losses.contrastive import (
    cross_sample,
    cross_sample_of,
    info_nce,
    likely_positives,
    log_shares,
    own_pair_nce,
    set_info_nce,
)
from raytrain.losses.directional import power_spherical, von_mises_fisher
from raytrain.losses.discrepancy import discrepancy_loss
from raytrain.losses.diversity import (
    exponential_diversity,
    global_discrimination,
    gram_diversity,
    intra_set_divergence,
)
from raytrain.losses.gaussian import divergence, uniformity
from raytrain.losses.gaussian_distances import bhattacharyya, gaussian_mmd, symmetric_divergence
from raytrain.losses.match_probability import match_cross_entropy, match_nll, pseudo_positives
from raytrain.losses.multi_grained import blurred, multi_grained_loss
from raytrain.losses.orthogonality import view_orthogonality
from raytrain.losses.triplet import mean_triplet, set_triplet, triplet_loss
from raytrain.losses.variance_weighting import variance_weighted_triplet, view_weights
from raytrain.losses.view_bounds import multi_view_bounds
from raytrain.losses.wasserstein import wasserstein_loss

__all__ = [
    "bhattacharyya",
    "blurred",
    "cross_sample",
    "cross_sample_of",
    "discrepancy_loss",
    "divergence",
    "exponential_diversity",
    "gaussian_mmd",
    "global_discrimination",
    "gram_diversity",
    "info_nce",
    "intra_set_divergence",
    "likely_positives",
    "log_shares",
    "match_cross_entropy",
    "match_nll",
    "mean_triplet",
    "multi_grained_loss",
    "multi_view_bounds",
    "own_pair_nce",
    "power_spherical",
    "pseudo_positives",
    "set_info_nce",
    "set_triplet",
    "symmetric_divergence",
    "triplet_loss",
    "uniformity",
    "variance_weighted_triplet",
    "view_orthogonality",
    "view_weights",
    "von_mises_fisher",
    "wasserstein_loss",
]
