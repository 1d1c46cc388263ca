"""Which elements of sets a score trains: the gradient that a triplet loss gives each of them (DivE, CVPR 2023).

A score that takes the closest pair alone (MIL) trains one element per set at a time: sparse supervision. It is measured
on the embeddings of a split, of any score, whatever the model was trained with. Letters: Q captions, G images, K
elements per caption, J per image, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain import losses

SUPERVISED = 0.01
"""Least share of the largest gradient of its set at which an element counts as supervised."""


@dataclass(frozen=True)
class Supervision:
    """What `supervision` found.

    Attributes:
        text_gradient, image_gradient: K and J mean gradient norms by the element's place in its set, relative to the
            mean over the places; all 0 where no hinge costs anything.
        text_share, image_share: of the elements of sets that get a gradient, the share whose norm is at least 1 % of
            the largest of their set; 1 / K under MIL with one positive pair, 1 where all are trained. 0 where no set
            gets a gradient.
        image_evenness: of images that get a gradient, the mean of the least norm of an element divided by the largest;
            1 where all elements are trained alike, 0 where one is left out. None where no image gets a gradient.
    """

    text_gradient: list[float]
    image_gradient: list[float]
    text_share: float
    image_share: float
    image_evenness: float | None


def element_gradients(
    score: Callable[[Tensor, Tensor], Tensor], query: Tensor, gallery: Tensor, positives: Tensor, margin: float = 0.2
) -> tuple[Tensor, Tensor]:
    """(Q, K) and (G, J) norms of the gradient of the hardest-negative triplet loss in each element.

    Args:
        score: (Q, K, D), (G, J, D) -> (Q, G).
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
        positives: (Q, G) bool.
        margin: of the hinges.
    """
    sides = [side.detach().clone().requires_grad_() for side in (query, gallery)]
    with torch.enable_grad():
        loss = losses.set_triplet(score(*sides), positives, margin)
        gradients = torch.autograd.grad(loss, sides)
    of_texts, of_images = (gradient.norm(dim=-1) for gradient in gradients)
    return of_texts, of_images


def supervision(
    score: Callable[[Tensor, Tensor], Tensor],
    query: Tensor,
    gallery: Tensor,
    item_of_query: Tensor,
    margin: float = 0.2,
    images: int = 64,
    batches: int = 10,
    seed: int = 0,
) -> Supervision:
    """The measures over random batches of a split's images with all their captions.

    Args:
        score, query, gallery, margin: as in `element_gradients`.
        item_of_query: (Q,) the image of each caption.
        images: per batch; at most all.
        batches: that are drawn.
        seed: of the draws.
    """
    draw, owner = torch.Generator().manual_seed(seed), item_of_query.to(gallery.device)
    texts, pictures = [], []
    for _ in range(batches):
        chosen = torch.randperm(len(gallery), generator=draw)[:images].to(gallery.device)
        captions = torch.isin(owner, chosen).nonzero()[:, 0]
        positives = owner[captions, None] == chosen
        of_texts, of_images = element_gradients(score, query[captions], gallery[chosen], positives, margin)
        texts.append(of_texts)
        pictures.append(of_images)
    of_texts, of_images = (torch.cat(norms).double() for norms in (texts, pictures))
    (text_gradient, text_share), (image_gradient, image_share) = _measures(of_texts), _measures(of_images)
    trained = of_images[of_images.amax(1) > 0]
    evenness = float((trained.amin(1) / trained.amax(1)).mean()) if len(trained) else None
    return Supervision(text_gradient, image_gradient, text_share, image_share, evenness)


def _measures(norms: Tensor) -> tuple[list[float], float]:
    """(N, K) norms -> (relative mean by place, share of supervised elements)."""
    by_place = norms.mean(0)
    largest = norms.amax(1)
    trained = norms[largest > 0]
    if len(trained) == 0:
        return by_place.tolist(), 0.0
    share = (trained >= SUPERVISED * largest[largest > 0, None]).double().mean()
    return (by_place / by_place.mean()).tolist(), float(share)
