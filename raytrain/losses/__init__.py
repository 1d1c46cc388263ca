"""One function a loss: tensors in, a scalar out. Config, devices and logging stay outside."""

from raytrain.losses.discrepancy import discrepancy
from raytrain.losses.diversity import exponential_diversity, gram_diversity
from raytrain.losses.orthogonality import view_orthogonality
from raytrain.losses.triplet import set_triplet, triplet
from raytrain.losses.variance_weighting import variance_weighted_triplet, view_weights

__all__ = [
    "discrepancy",
    "exponential_diversity",
    "gram_diversity",
    "set_triplet",
    "triplet",
    "variance_weighted_triplet",
    "view_orthogonality",
    "view_weights",
]
