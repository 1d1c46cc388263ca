"""Triplet losses over a batch of caption-image pairs.

Letters: B pairs. Row i of a similarity matrix is caption i, column j is image j; pair i is the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hinges(similarity: Tensor, negatives: Tensor, margin: float, hardest: bool) -> Tensor:
    """(..., B) hinge of each row's own pair against its negatives (VSE++, Faghri et al., BMVC 2018, equations 4, 5).

    Args:
        similarity: (..., B, B) scores, larger is closer; the diagonal holds the pairs.
        negatives: (B, B) bool, True where the column is a negative of the row.
        margin: required gap, in the units of `similarity`.
        hardest: against the hardest negative only; otherwise the sum over all negatives.

    Returns:
        (..., B); zero for a row without negatives.
    """
    own = similarity.diagonal(dim1=-2, dim2=-1)
    costs = (margin + similarity - own[..., None]).clamp(min=0).masked_fill(~negatives, 0.0)
    return costs.amax(-1) if hardest else costs.sum(-1)


def triplet_loss(similarity: Tensor, negatives: Tensor, margin: float = 0.2, hardest: bool = True) -> Tensor:
    """() sum of the hinges of both directions over the batch (VSE++; VSE-infinity, section 3.4).

    Args:
        similarity: (B, B) captions x images, pairs on the diagonal.
        negatives: (B, B) bool, symmetric.
        margin: required gap, in the units of `similarity`.
        hardest: against the hardest negative only; otherwise the sum over all negatives (the warm-up of VSE-infinity).
    """
    text_to_image = hinges(similarity, negatives, margin, hardest)
    image_to_text = hinges(similarity.transpose(-2, -1), negatives.T, margin, hardest)
    return text_to_image.sum() + image_to_text.sum()


def mean_triplet(similarity: Tensor, negatives: Tensor, margin: float = 0.1, hardest: bool = True) -> Tensor:
    """() mean of the hinges of both directions (PVSE, Song and Soleymani, CVPR 2019; official code).

    Args:
        similarity: (B, B) captions x images, pairs on the diagonal.
        negatives: (B, B) bool, symmetric.
        margin: required gap, in the units of `similarity`.
        hardest: mean over the B hardest negatives of a direction; otherwise over all B^2 pairs, where the diagonal and
            other pairs that are no negatives count as zeros.
    """
    count = len(similarity)
    return triplet_loss(similarity, negatives, margin, hardest) / (count if hardest else count**2)


Pairs = tuple[Tensor, Tensor]
"""(P,) queries and (P,) gallery items of the positive pairs of a matrix, row by row."""


def positive_pairs(positives: Tensor) -> Pairs:
    """The pairs that are True in a (Q, G) matrix. On a GPU the host waits, since their number is not known to it."""
    query, image = positives.nonzero(as_tuple=True)
    return query, image


def set_triplet(
    similarity: Tensor,
    positives: Tensor,
    margin: float = 0.2,
    mining: str = "hardest",
    pairs: Pairs | None = None,
) -> Tensor:
    """() hinges of both directions when a batch holds several captions per image (DivE, CVPR 2023; official code).

    Every positive pair (q, g) is compared with the negatives of image g and with the negatives of caption q. Each
    direction is a mean, so that the loss does not grow with the batch; the two directions are added. A collapsed model
    costs twice the margin under "hardest" and "mean".

    Args:
        similarity: (Q, G) scores, larger is closer.
        positives: (Q, G) bool, True where the caption describes the image; all other pairs are negatives. Any number
            of captions per image. A pair without a negative costs nothing.
        margin: required gap, in the units of `similarity`.
        mining: "hardest", the hardest negative of each positive pair; "mean", the mean over all (positive, negative)
            hinges; "semi_hard", hinges cut at the margin (a negative above its positive has no gradient) and averaged
            over those that are not zero.
        pairs: the positive pairs, where they are known.

    Raises:
        ValueError: another mining.
    """
    query, image = pairs or positive_pairs(positives)
    own = similarity[query, image][:, None]
    total = similarity.new_zeros(())
    for scores, others in (
        (similarity[query], ~positives[query]),  # (P, G) text to image
        (similarity.T[image], ~positives.T[image]),  # (P, Q) image to text
    ):
        costs = (margin + scores - own).clamp(min=0).masked_fill(~others, 0.0)
        if mining == "hardest":
            total = total + costs.amax(1).sum() / max(len(query), 1)
        elif mining == "mean":
            total = total + costs.sum() / others.sum().clamp(min=1)
        elif mining == "semi_hard":
            costs = costs.clamp(max=margin)
            total = total + costs.sum() / (costs > 0).sum().clamp(min=1)
        else:
            raise ValueError(f"no mining '{mining}'; there are hardest, mean and semi_hard")
    return total


def batch_negatives(image_id: Tensor, same_image: str) -> Tensor:
    """(B, B) bool, True where the image (column) is a negative of the caption (row).

    Args:
        image_id: (B) the image of each pair.
        same_image: "masked", another caption of the same image is no negative; "negative", it is one (published code).
    """
    if same_image == "masked":
        return image_id[:, None] != image_id[None, :]
    return ~torch.eye(len(image_id), dtype=torch.bool, device=image_id.device)


def batch_positives(image_id: Tensor, positives: str) -> Tensor:
    """(B, B) bool, True where the image (column) matches the caption (row).

    Args:
        image_id: (B) the image of each pair.
        positives: "image", all captions of an image match it; "pair", a caption matches its own pair only.
    """
    return ~batch_negatives(image_id, "masked" if positives == "image" else "negative")
