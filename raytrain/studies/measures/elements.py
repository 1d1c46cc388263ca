"""Measures of sets of elements: how many are ever matched, and how evenly the loss trains them."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain import losses
from raytrain.methods.base import Method
from raytrain.studies.measured_run import MeasuredRun

BATCH_IMAGES = 64


def share_ever_best(run: MeasuredRun) -> float | None:
    """Share of the elements of validation images that are ever the closest one to an element of their captions."""
    query, gallery = run.embedded
    if gallery.ndim != 3:
        return None
    return share_ever_best_of(query, gallery, run.similarity[1])


def share_ever_best_of(query: Tensor, gallery: Tensor, owner: Tensor) -> float:
    """See `share_ever_best`; the closest pair of elements of each caption and its image counts.

    Args:
        query: (M, D) or (M, J, D) captions.
        gallery: (N, K, D) images.
        owner: (M,) image of each caption.
    """
    captions = query if query.ndim == 3 else query[:, None]
    cosines = torch.nn.functional.normalize(captions, dim=-1) @ torch.nn.functional.normalize(
        gallery[owner], dim=-1
    ).transpose(1, 2)
    closest = cosines.amax(1).argmax(1)
    matched = torch.zeros(gallery.shape[:2], dtype=torch.bool)
    matched[owner, closest] = True
    return float(matched[torch.unique(owner)].double().mean())


def gradient_evenness(run: MeasuredRun) -> float | None:
    """Mean over validation images of the least gradient norm of an element divided by the largest; None at K = 1."""
    query, gallery = run.embedded
    if gallery.ndim != 3 or gallery.shape[1] < 2:
        return None
    return gradient_evenness_of(run.model, query, gallery, run.similarity[1])


def gradient_evenness_of(model: Method, query: Tensor, gallery: Tensor, owner: Tensor, margin: float = 0.2) -> float:
    """See `gradient_evenness`: of the triplet loss against the mean over negatives, in batches of BATCH_IMAGES images.

    Args:
        model: whose similarity is differentiated.
        query: (M, ...) captions.
        gallery: (N, K, D) images.
        owner: (M,) image of each caption.
        margin: of the hinges.
    """
    shares = []
    for first in range(0, len(gallery), BATCH_IMAGES):
        images = torch.arange(first, min(first + BATCH_IMAGES, len(gallery)))
        captions = torch.isin(owner, images).nonzero()[:, 0]
        elements = gallery[images].clone().requires_grad_()
        positives = owner[captions][:, None] == images[None]
        with torch.enable_grad():
            loss = losses.set_triplet(model.similarity(query[captions], elements), positives, margin, "mean")
        if not loss.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(loss, elements)
        norms = gradient.norm(dim=-1)  # (B, K)
        largest = norms.amax(1)
        shares.append((norms.amin(1) / largest.clamp(min=1e-30))[largest > 0])
    return float(torch.cat(shares).mean()) if shares and len(torch.cat(shares)) else 1.0
