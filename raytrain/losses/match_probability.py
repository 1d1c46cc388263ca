"""Losses over match probabilities: PCME's over pairs of samples, PCME++'s over pairs of Gaussians.

Letters: Q captions, G images, K samples per caption, J samples per image. In a batch of B pairs, row i is caption i and
column j is image j.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid


def match_nll(logits: Tensor, matched: Tensor) -> Tensor:
    """() negative log likelihood, summed over all pairs (PCME, Chun et al., CVPR 2021, equation 4).

    Two samples match with probability p_kj = e^l / (e^l + e^-l). A pair of items matches with probability mean p_kj
    over their samples, and does not match with probability mean (1 - p_kj).

    Args:
        logits: (Q, K, G, J) from raytrain.similarity.match_logits.
        matched: (Q, G) bool.
    """
    signs = torch.where(matched, 1.0, -1.0).to(logits.dtype)[:, None, :, None]
    likelihood = logsigmoid(2 * signs * logits).logsumexp((1, 3)) - math.log(logits.shape[1] * logits.shape[3])
    return -likelihood.sum()


def match_cross_entropy(logits: Tensor, matched: Tensor) -> Tensor:
    """() mean over all pairs of the binary cross entropy of sigmoid(logits) (PCME++, Chun, ICLR 2024, equation 2).

    Args:
        logits: (Q, G), -a d + b of a distance d.
        matched: (Q, G) bool, or labels in [0, 1].
    """
    return binary_cross_entropy_with_logits(logits, matched.to(logits.dtype))


def pseudo_positives(logits: Tensor, matched: Tensor) -> Tensor:
    """(B, B) labels with pseudo-positives: what scores at least as high as a row's best label gets that label (PCME++).

    Args:
        logits: (B, B), own pairs on the diagonal; read without gradient.
        matched: (B, B) bool, or labels in [0, 1]. The row's own pair has its best label, unless images are mixed and
            the greater part is another image's.
    """
    scores, labels = logits.detach(), matched.to(logits.dtype)
    best, place = labels.max(1, keepdim=True)
    own = torch.arange(len(labels), device=labels.device)[:, None]
    place = torch.where(labels.gather(1, own) == best, own, place)
    return torch.where(scores >= scores.gather(1, place), best, labels)


def pseudo_share(logits: Tensor, matched: Tensor) -> Tensor:
    """() share, in [0, 1], of all pairs that do not match and are pseudo-positives of their row, without gradient."""
    return (pseudo_positives(logits, matched) > matched.to(logits.dtype)).float().mean()
