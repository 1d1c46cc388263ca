"""MGUR's loss: targets blurred by Gaussian noise early in training, exact ones later (Chen et al., arXiv 2211.07394).

Letters: B queries and their B targets, D dimensions. The method scales features to one
norm (4 in the published code); similarities are dot products.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from raytrain.losses.contrastive import info_nce
from raytrain.similarity.precision import in_float32


@in_float32
def blurred(targets: Tensor, noise: Tensor) -> Tensor:
    """(B, D) targets, each normalised over its dimensions, then scaled and shifted at random (section 3.2).

    With m and s the mean and standard deviation over a target's dimensions: alpha * normalised + beta, where
    alpha ~ N(1, s) and beta ~ N(m, s) per dimension. m and s take no gradient, as in the published code.

    Args:
        targets: (B, D), D of 2 or more.
        noise: (2, B, D) standard normal, for alpha and for beta.
    """
    spread, mean = torch.std_mean(targets.detach(), dim=1, keepdim=True)
    normalised = layer_norm(targets, targets.shape[1:], eps=1e-5)
    return (1 + spread * noise[0]) * normalised + mean + spread * noise[1]


@in_float32
def multi_grained_loss(
    query: Tensor, targets: Tensor, blurred_targets: Tensor, progress: float, ignored: Tensor | None = None
) -> Tensor:
    """() gamma L_u + (1 - gamma) InfoNCE(query, targets), gamma = exp(-progress) (section 3.3).

    L_u = (exp(-s) InfoNCE(query, blurred) + s) / 2, where s is the standard deviation over all elements of the
    blurred targets.

    Args:
        query, targets, blurred_targets: (B, D)
        progress: epochs done / epochs of the run, in [0, 1].
        ignored: (B, B) bool, pairs that are no negatives.
    """
    spread = blurred_targets.std()
    coarse = ((-spread).exp() * info_nce(query @ blurred_targets.T, 1.0, ignored=ignored) + spread) / 2
    gamma = math.exp(-progress)
    return gamma * coarse + (1 - gamma) * info_nce(query @ targets.T, 1.0, ignored=ignored)
