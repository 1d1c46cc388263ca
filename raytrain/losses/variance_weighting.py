"""DVSE's variance-aware weighting of the view losses.

Letters: B pairs, K views. The only source of the formula is a summary of the paper that contradicts itself on the
direction of the weights, so each reading is a named choice (docs/methods.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.losses.triplet import hinges


def negative_variance(similarity: Tensor, variance: str = "population") -> Tensor:
    """(K, B) variance of each row's scores over the other members of the batch.

    Args:
        similarity: (K, B, B) scores of each view; the diagonal, which holds the pairs, is left out.
        variance: "population" divides by the count n, "unbiased" by n - 1.
    """
    count = similarity.shape[-1] - 1
    others = ~torch.eye(count + 1, dtype=torch.bool, device=similarity.device)
    scores = similarity.float()
    mean = (scores * others).sum(-1, keepdim=True) / max(count, 1)
    squares = ((scores - mean).square() * others).sum(-1)
    return squares / max(count - 1 if variance == "unbiased" else count, 1)


def view_weights(variance: Tensor, weight_fn: str, tau: float = 0.01) -> Tensor:
    """(K, B) variances -> (K, B) weights that sum to 1 over the views.

    Args:
        variance: (K, B) variance of each view's scores with the other members of the batch.
        weight_fn: "inv", proportional to 1 / (variance + 1e-8); "var", proportional to variance; "softmax_neg" and
            "softmax_pos", softmax of -+variance / tau; "none", 1 / K.
        tau: temperature of the softmaxes, in the units of the variance.

    Raises:
        ValueError: another weight_fn.
    """
    if weight_fn == "inv":
        raw = 1 / (variance + 1e-8)
        return raw / raw.sum(0)
    if weight_fn == "var":
        return (variance + 1e-8) / (variance + 1e-8).sum(0)
    if weight_fn == "softmax_neg":
        return torch.softmax(-variance / tau, 0)
    if weight_fn == "softmax_pos":
        return torch.softmax(variance / tau, 0)
    if weight_fn == "none":
        return torch.full_like(variance, 1 / len(variance))
    raise ValueError(f"no weight_fn '{weight_fn}'; there are inv, softmax_neg, var, softmax_pos, none and kendall")


def variance_weighted_triplet(
    similarity: Tensor,
    negatives: Tensor,
    margin: float = 0.2,
    hardest: bool = True,
    weight_fn: str = "inv",
    tau: float = 0.01,
    weight_gradient: bool = False,
    variance: str = "population",
) -> Tensor:
    """() sum over pairs, views and both directions of weight times hinge (DVSE, the variance-aware weighting loss).

    At K = 1 every normalised weight is 1, and the loss is `triplet_loss`.

    Args:
        similarity: (K, B, B) captions x images for each view, pairs on the diagonal.
        negatives: (B, B) bool.
        margin: required gap, in the units of `similarity`.
        hardest: against the hardest negative only; otherwise the sum over all negatives.
        weight_fn: as in `view_weights`, or "kendall": l / (2 variance) + 0.5 log variance, averaged over views
            (Kendall, Gal and Cipolla, CVPR 2018, equation 7).
        tau: temperature of the softmax weights.
        weight_gradient: whether the gradient flows through the weights.
        variance: "population" or "unbiased".
    """
    total = similarity.new_zeros(())
    for scores, others in ((similarity, negatives), (similarity.transpose(-2, -1), negatives.T)):
        losses = hinges(scores, others, margin, hardest)  # (K, B)
        spread = negative_variance(scores if weight_gradient else scores.detach(), variance)
        if weight_fn == "kendall":
            spread = spread + 1e-8
            total = total + (losses / (2 * spread) + 0.5 * spread.log()).mean(0).sum()
        else:
            total = total + (view_weights(spread, weight_fn, tau) * losses).sum()
    return total
