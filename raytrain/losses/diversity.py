"""Diversity losses: they keep the elements of one set apart, and apart from what they share.

Letters: B sets, K elements, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.losses.off_diagonal import off_diagonal
from raytrain.similarity.precision import in_float32


@in_float32
def exponential_diversity(elements: Tensor) -> Tensor:
    """() mean over sets and pairs k < l of exp(-2 ||e_k - e_l||^2) (DivE, Kim et al., CVPR 2023; official code).

    1 where all elements of a set are equal, exp(-8) where two are opposite, 0 at K = 1.

    Args:
        elements: (B, K, D), L2-normalised.
    """
    count = elements.shape[1]
    if count == 1:
        return elements.sum() * 0.0
    first, second = torch.triu_indices(count, count, 1, device=elements.device)
    squares = (elements[:, first] - elements[:, second]).square().sum(-1)  # (B, K (K - 1) / 2)
    return torch.exp(-2 * squares).mean()


@in_float32
def gram_diversity(elements: Tensor) -> Tensor:
    """() mean over sets of the Frobenius norm of off-diagonal cosines, divided by K^2 (PVSE, CVPR 2019); 0 at K = 1.

    Args:
        elements: (B, K, D), L2-normalised.
    """
    count = elements.shape[1]
    if count == 1:
        return elements.sum() * 0.0
    squares = off_diagonal(elements @ elements.transpose(1, 2)).square().sum(1)
    # 1e-12 keeps the gradient finite once a set is orthogonal
    return (squares + 1e-12).sqrt().mean() / count**2


@in_float32
def global_discrimination(elements: Tensor, whole: Tensor, margin: float = 0.5) -> Tensor:
    """() mean over sets and elements of exp([cos(e_k, global) - margin]+) - 1 (MaxMatch, our reading maxmatch-r1).

    0 where no element is closer to its item's global feature than the margin allows; elements that only copy it cost
    most.

    Args:
        elements: (B, K, D), L2-normalised.
        whole: (B, D) global features, L2-normalised.
        margin: cosine from which an element costs.
    """
    cosines = (elements @ whole[..., None])[..., 0]
    return torch.expm1((cosines - margin).clamp(min=0)).mean()


@in_float32
def intra_set_divergence(elements: Tensor, margin: float = 0.5) -> Tensor:
    """() mean over sets and pairs k < l of [cos(e_k, e_l) - margin]+ (MaxMatch, maxmatch-r1); 0 at K = 1.

    Args:
        elements: (B, K, D), L2-normalised.
        margin: cosine from which two elements of a set cost.
    """
    count = elements.shape[1]
    if count == 1:
        return elements.sum() * 0.0
    first, second = torch.triu_indices(count, count, 1, device=elements.device)
    return ((elements[:, first] * elements[:, second]).sum(-1) - margin).clamp(min=0).mean()
