"""One function a loss: tensors in, a scalar out. Config, devices and logging stay outside."""

from raytrain.losses.orthogonality import view_orthogonality
from raytrain.losses.triplet import triplet
from raytrain.losses.variance_weighting import variance_weighted_triplet, view_weights

__all__ = ["triplet", "variance_weighted_triplet", "view_orthogonality", "view_weights"]
