"""Softmax losses over the global batch: InfoNCE of pairs and of sets, and RAU's cross-sample uncertainty (CSU).

Letters: B queries and their B targets. Row i of a similarity matrix is query i, column j the target of query j; pairs
stand on the diagonal (`set_info_nce` takes any positives). A temperature tau is a scale of 1 / tau.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from raytrain.losses.off_diagonal import off_diagonal
from raytrain.losses.triplet import Pairs, positive_pairs


def info_nce(
    similarity: Tensor, scale: Tensor | float, symmetric: bool = False, ignored: Tensor | None = None
) -> Tensor:
    """() mean over queries of -log softmax of the query's own target (van den Oord et al., 2018, equation 4).

    Args:
        similarity: (B, B) cosines, larger is closer.
        scale: factor of the scores: 100 in CLIP4Cir (Baldrati et al., CVPRW 2022), 1 / 0.07 in RAU.
        symmetric: mean of both directions; composed retrieval takes query -> target only.
        ignored: (B, B) bool, pairs that are no negatives; the diagonal is never ignored.
    """
    logits = _logits(similarity, scale, ignored)
    own = torch.arange(len(logits), device=logits.device)
    if symmetric:
        return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    return cross_entropy(logits, own)


def own_pair_nce(similarity: Tensor, negatives: Tensor, scale: Tensor | float) -> Tensor:
    """(..., B) InfoNCE of each row alone: -log softmax of its own pair, among that pair and its negatives.

    Args:
        similarity: (..., B, B) scores, larger is closer; the diagonal holds the pairs.
        negatives: (B, B) bool, True where the column is a negative of the row.
        scale: factor of the scores.

    Returns:
        (..., B); zero for a row without negatives.
    """
    logits = _logits(similarity, scale)
    of_negatives = logits.masked_fill(~negatives, -torch.inf).logsumexp(-1)
    return softplus(of_negatives - logits.diagonal(dim1=-2, dim2=-1))


def set_info_nce(similarity: Tensor, positives: Tensor, scale: Tensor | float, pairs: Pairs | None = None) -> Tensor:
    """() InfoNCE where a batch holds several captions per image: mean over the positive pairs, of both directions.

    Each positive pair stands in a softmax with the negatives of its caption, and in one with those of its image; the
    image's other captions are in neither.

    Args:
        similarity: (Q, G) scores, larger is closer.
        positives: (Q, G) bool, True where the caption describes the image; all other pairs are negatives. A pair
            without a negative costs nothing.
        scale: factor of the scores.
        pairs: as of `set_triplet`.
    """
    logits = _logits(similarity, scale)
    query, image = pairs or positive_pairs(positives)
    others = logits.masked_fill(positives, -torch.inf)
    own = logits[query, image]
    text_to_image = softplus(others.logsumexp(1)[query] - own)
    image_to_text = softplus(others.logsumexp(0)[image] - own)
    return (text_to_image.sum() + image_to_text.sum()) / (2 * max(len(query), 1))


def likely_positives(similarity: Tensor, theta: float, mode: str = "absolute") -> Tensor:
    """(B, B) bool without gradient: each query's own target, and targets at least as similar as theta (RAU, P_i).

    Args:
        similarity: (B, B) cosines.
        theta: "absolute": the least cosine of a further positive. "quantile": this quantile, in [0, 1], of the
            off-diagonal cosines is the least cosine of a further positive, since encoders differ in their cosines.
        mode: "absolute" or "quantile".

    Raises:
        ValueError: another mode, or a quantile outside [0, 1].
    """
    scores = similarity.detach().float()
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if mode == "absolute":
        return own | (scores >= theta)
    if mode != "quantile":
        raise ValueError(f"no theta mode '{mode}'; there are absolute and quantile")
    if not 0 <= theta <= 1:
        raise ValueError(f"theta is a quantile in [0, 1]; given: {theta}")
    others = off_diagonal(scores)
    if len(others) == 0:
        return own
    # kthvalue, not torch.quantile, which takes at most 16 million numbers: a batch of 4,096 has more
    threshold = others.kthvalue(1 + math.ceil(theta * (len(others) - 1))).values
    return own | (scores >= threshold)


def cross_sample(
    similarity: Tensor,
    positives: Tensor,
    scale: Tensor | float,
    form: str = "soft",
    ignored: Tensor | None = None,
) -> Tensor:
    """() mean over queries of RAU's cross-sample loss; InfoNCE where a query's only positive is its own target.

    With p_ij the softmax of row i and P_i its positives:
        soft      -log sum_{j in P_i} p_ij: does not push further positives away, and need not pull them closer
        supcon    mean over P_i of -log p_ij: pulls all of them closer (Khosla et al., NeurIPS 2020, L_out)

    Args:
        similarity: (B, B) cosines.
        positives: (B, B) bool; the diagonal counts as positive whatever it says.
        scale: factor of the scores.
        form: "soft" or "supcon".
        ignored: (B, B) bool, pairs that are neither positives nor negatives; the diagonal is never ignored.

    Raises:
        ValueError: another form.
    """
    return cross_sample_of(log_shares(similarity, scale, ignored), positives, form, ignored)


def log_shares(similarity: Tensor, scale: Tensor | float, ignored: Tensor | None = None) -> Tensor:
    """(..., B, B) log of each query's softmax over the targets, log p_ij, float32 or wider.

    Its negative diagonal is InfoNCE query by query, and `cross_sample_of` takes it too: both losses of the same scores
    cost one softmax.

    Args:
        similarity: (..., B, B) cosines.
        scale: factor of the scores.
        ignored: as of `cross_sample`; its pairs have no share.
    """
    return _logits(similarity, scale, ignored).log_softmax(-1)


def cross_sample_of(log_shares: Tensor, positives: Tensor, form: str = "soft", ignored: Tensor | None = None) -> Tensor:
    """() `cross_sample` from `log_shares`; mean over queries, and over the matrices where there are several.

    Args:
        log_shares: (..., B, B)
        positives, form, ignored: as of `cross_sample`; positives (..., B, B) or those of every matrix.

    Raises:
        ValueError: another form.
    """
    if ignored is not None:
        positives = positives & ~ignored
    positives = positives | torch.eye(log_shares.shape[-1], dtype=torch.bool, device=log_shares.device)
    if form == "soft":
        return -_log_of_sum(log_shares, positives).mean()
    if form == "supcon":
        return (-log_shares.masked_fill(~positives, 0.0).sum(-1) / positives.sum(-1)).mean()
    raise ValueError(f"no form '{form}'; there are soft and supcon")


def _log_of_sum(log_shares: Tensor, positives: Tensor) -> Tensor:
    """(..., B) log sum_{j in P_i} p_ij; every row has a positive.

    Other pairs count as e^-80 of the largest positive, which no sum notices: on a CPU torch's exponential of -inf takes
    six times as long as that of a number.
    """
    largest = log_shares.detach().masked_fill(~positives, -torch.inf).amax(-1, keepdim=True)
    below = (log_shares - largest).masked_fill(~positives, -80.0)
    return largest.squeeze(-1) + below.exp().sum(-1).log()


def further_positives(positives: Tensor, ignored: Tensor | None = None) -> Tensor:
    """() share of the pairs off the diagonal that the loss takes as positive, without gradient; zero at B = 1.

    Args:
        positives: (B, B) bool.
        ignored: (B, B) bool, pairs that are neither positives nor negatives, whatever `positives` says.
    """
    count = len(positives)
    taken = positives if ignored is None else positives & ~ignored
    further = taken.sum() - taken.diagonal().sum()
    return further.float() / max(count * (count - 1), 1)


def _logits(similarity: Tensor, scale: Tensor | float, ignored: Tensor | None = None) -> Tensor:
    """Scaled scores, float32 or wider, since sums of exponentials in bfloat16 keep two digits; -inf where ignored."""
    logits = similarity.to(torch.promote_types(similarity.dtype, torch.float32)) * scale
    if ignored is None:
        return logits
    own = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    return logits.masked_fill(ignored & ~own, -torch.inf)
