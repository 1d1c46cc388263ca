"""Regularisers of probabilistic embeddings: their divergence from a standard normal, and their uniformity.

Letters: N items or samples, D dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from raytrain.similarity.precision import full_precision


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(...) Kullback-Leibler divergence of diagonal Gaussians from the standard normal, the variational bottleneck.

    1/2 sum_d (mu^2 + sigma^2 - 1 - log sigma^2) (Kingma and Welling, ICLR 2014, appendix B; PCME, section 3.3).

    Args:
        mean, log_variance: (..., D)
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2


def uniformity(samples: Tensor, t: float = 2.0) -> Tensor:
    """() log mean over pairs of different samples of exp(-t ||x - y||^2) (Wang and Isola, ICML 2020; PCME).

    0 where all samples are equal, and at N = 1; the lower, the more uniformly they are spread.

    Args:
        samples: (N, D)
        t: rate of the kernel, per unit of squared distance.
    """
    count = len(samples)
    if count < 2:
        return samples.sum() * 0.0
    with full_precision(samples.device.type):
        wide = samples.to(torch.promote_types(samples.dtype, torch.float32))
        lengths = wide.square().sum(-1)
        squares = (lengths[:, None] + lengths - 2 * wide @ wide.T).clamp(min=0)
        same = torch.eye(count, dtype=torch.bool, device=samples.device)
        return (-t * squares).masked_fill(same, -torch.inf).logsumexp((0, 1)) - math.log(count * (count - 1))
