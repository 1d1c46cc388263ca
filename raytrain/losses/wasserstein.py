"""Distance between diagonal Gaussians: RAU's distribution regularisation (DR)."""

from __future__ import annotations

import torch
from torch import Tensor


def wasserstein_loss(
    mean: Tensor, log_variance: Tensor, mean_to: Tensor, log_variance_to: Tensor, *, root: bool = False
) -> Tensor:
    """(...) 2-Wasserstein distance of diagonal Gaussians, squared unless `root`.

    ||mean - mean_to||^2 + ||sigma - sigma_to||^2 with sigma = exp(log_variance / 2): the distance of two Gaussians with
    diagonal covariances (Dowson and Landau, J. Multivariate Analysis 12, 1982).

    Args:
        mean, log_variance, mean_to, log_variance_to: (..., D)
        root: the distance itself, not its square. Where both Gaussians are equal its gradient is set to zero.
    """
    sigma, sigma_to = (log_variance / 2).exp(), (log_variance_to / 2).exp()
    squared = (mean - mean_to).square().sum(-1) + (sigma - sigma_to).square().sum(-1)
    if not root:
        return squared
    # where the distance is zero, take the root of 1: the gradient of the root of 0 would be infinity times zero
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
