"""DVSE's variance-aware weighting of the view losses, and weights from entropy or confidence to compare it with.

Letters: B pairs, K views. The only source of the formula is a summary of the paper that contradicts itself on the
direction of the weights, so each reading is a named choice (docs/methods.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.losses.contrastive import own_pair_nce
from raytrain.losses.triplet import hinges


def negative_variance(similarity: Tensor, variance: str = "population", members: Tensor | None = None) -> Tensor:
    """(K, B) variance of each row's scores over the other members of the batch; 0 where a row has none.

    Args:
        similarity: (K, B, B) scores of each view; the diagonal, which holds the pairs, is left out.
        variance: "population" divides by the count n, "unbiased" by n - 1.
        members: (B, B) bool, the members that count for each row; None for all others.
    """
    others = _others(similarity, members)
    count = others.sum(-1)
    scores = similarity.float()
    mean = (scores * others).sum(-1, keepdim=True) / count.clamp(min=1)[:, None]
    squares = ((scores - mean).square() * others).sum(-1)
    return squares / (count - 1 if variance == "unbiased" else count).clamp(min=1)


def negative_entropy(similarity: Tensor, tau: float = 0.05, members: Tensor | None = None) -> Tensor:
    """(K, B) entropy of the softmax of each row's scores / tau over the other members, in nats; 0 where a row has none.

    Args:
        similarity, members: as in `negative_variance`.
        tau: temperature, in the units of `similarity`.
    """
    others = _others(similarity, members)
    logits = (similarity.float() / tau).masked_fill(~others, torch.finfo(torch.float32).min)
    logs = logits.log_softmax(-1).masked_fill(~others, 0.0)
    return -(logs.exp() * logs).sum(-1)


def negative_confidence(similarity: Tensor, members: Tensor | None = None) -> Tensor:
    """(K, B) margin of each row's best score over its second best among the other members; 0 where there are not two.

    Args:
        similarity, members: as in `negative_variance`.
    """
    others = _others(similarity, members)
    two = (others.sum(-1) > 1) & torch.ones(similarity.shape[:-1], dtype=torch.bool, device=similarity.device)
    if similarity.shape[-1] < 2:
        return similarity.float().sum(-1) * 0.0
    lowest = similarity.detach().float().min() - 1
    best, second = similarity.float().masked_fill(~others, lowest).topk(2, -1).values.unbind(-1)
    return (best - second).masked_fill(~two, 0.0)


def view_statistic(
    similarity: Tensor,
    weight_fn: str,
    variance: str = "population",
    members: Tensor | None = None,
    entropy_tau: float = 0.05,
) -> Tensor:
    """(K, B) what `weight_fn` weighs views by: entropy, confidence, or variance.

    Args:
        similarity, variance, members: as in `negative_variance`.
        weight_fn: as in `view_weights`.
        entropy_tau: temperature of the entropy.
    """
    if weight_fn.startswith("entropy"):
        return negative_entropy(similarity, entropy_tau, members)
    if weight_fn.startswith("confidence"):
        return negative_confidence(similarity, members)
    return negative_variance(similarity, variance, members)


def view_weights(statistic: Tensor, weight_fn: str, tau: float = 0.01) -> Tensor:
    """(K, B) statistics -> (K, B) weights that sum to 1 over the views.

    Args:
        statistic: (K, B) of each view's scores with the other members of the batch, as in `view_statistic`.
        weight_fn: "inv", "entropy_low" and "confidence_low", proportional to 1 / (statistic + 1e-8); "var",
            "entropy_high" and "confidence_high", proportional to it; "softmax_neg" and "softmax_pos", softmax of
            -+variance / tau; "none", 1 / K.
        tau: temperature of the softmaxes, in the units of the variance.

    Raises:
        ValueError: another weight_fn.
    """
    if weight_fn in ("inv", "entropy_low", "confidence_low"):
        raw = 1 / (statistic + 1e-8)
        return raw / raw.sum(0)
    if weight_fn in ("var", "entropy_high", "confidence_high"):
        return (statistic + 1e-8) / (statistic + 1e-8).sum(0)
    if weight_fn == "softmax_neg":
        return torch.softmax(-statistic / tau, 0)
    if weight_fn == "softmax_pos":
        return torch.softmax(statistic / tau, 0)
    if weight_fn == "none":
        return torch.full_like(statistic, 1 / len(statistic))
    raise ValueError(
        f"no weight_fn '{weight_fn}'; there are inv, softmax_neg, var, softmax_pos, entropy_high, entropy_low, "
        "confidence_high, confidence_low, none and kendall"
    )


def variance_weighted_triplet(
    similarity: Tensor,
    negatives: Tensor,
    margin: float = 0.2,
    hardest: bool = True,
    weight_fn: str = "inv",
    tau: float = 0.01,
    weight_gradient: bool = False,
    variance: str = "population",
    variance_over: str = "others",
    kendall_over_views: str = "mean",
    info_nce_scale: Tensor | float | None = None,
    entropy_tau: float = 0.05,
) -> Tensor:
    """() sum over pairs, views and both directions of weight times hinge (DVSE, the variance-aware weighting loss).

    At K = 1 every normalised weight is 1, and the loss is `triplet_loss`; with `info_nce_scale` it is 2 B `info_nce`.

    Args:
        similarity: (K, B, B) captions x images for each view, pairs on the diagonal.
        negatives: (B, B) bool.
        margin: required gap, in the units of `similarity`.
        hardest: against the hardest negative only; otherwise the sum over all negatives.
        weight_fn: as in `view_weights`, or "kendall": l / (2 variance) + 0.5 log variance (Kendall, Gal and Cipolla,
            CVPR 2018, equation 7).
        tau: temperature of the softmax weights.
        weight_gradient: whether the gradient flows through the weights.
        variance: "population" or "unbiased".
        variance_over: "others", every other member of the batch; "negatives", those that `negatives` names. Entropy
            and confidence are over the same members.
        kendall_over_views: "mean" over the views, or their "sum" as in equation 7.
        info_nce_scale: factor of the scores in `own_pair_nce`, which then takes the place of the hinges; None for them.
        entropy_tau: temperature of the softmax whose entropy "entropy_high" and "entropy_low" weigh by.
    """
    total = similarity.new_zeros(())
    for scores, others in ((similarity, negatives), (similarity.transpose(-2, -1), negatives.T)):
        if info_nce_scale is None:
            losses = hinges(scores, others, margin, hardest)  # (K, B)
        else:
            losses = own_pair_nce(scores, others, info_nce_scale)
        members = others if variance_over == "negatives" else None
        fixed = scores if weight_gradient else scores.detach()
        spread = view_statistic(fixed, weight_fn, variance, members, entropy_tau)
        if weight_fn == "kendall":
            spread = spread + 1e-8
            by_view = losses / (2 * spread) + 0.5 * spread.log()
            total = total + (by_view.sum() if kendall_over_views == "sum" else by_view.mean(0).sum())
        else:
            total = total + (view_weights(spread, weight_fn, tau) * losses).sum()
    return total


def _others(similarity: Tensor, members: Tensor | None) -> Tensor:
    """(B, B) bool, the members of the batch that count for each row: all others, or those of them in `members`."""
    others = ~torch.eye(similarity.shape[-1], dtype=torch.bool, device=similarity.device)
    return others if members is None else others & members
