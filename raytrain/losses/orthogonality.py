"""DVSE's orthogonal constraint between the views of an image.

Letters: B images, K views, D dimensions.
"""

from __future__ import annotations

from torch import Tensor

from raytrain.losses.off_diagonal import off_diagonal
from raytrain.similarity.precision import in_float32


@in_float32
def view_orthogonality(views: Tensor, penalty: str = "square", gamma: Tensor | float = 0.0) -> Tensor:
    """() penalty on the cosines between different views of an image, mean over images; zero at K = 1 (DVSE).

    Args:
        views: (B, K, D), L2-normalised.
        penalty: of the Gram matrix G of each image: "square", mean of G_kl^2 over k != l; "abs", mean of |G_kl|;
            "frobenius", ||G - I||_F; "margin", mean of [|G_kl| - gamma]+.
        gamma: |cosine| up to which "margin" costs nothing.

    Raises:
        ValueError: another penalty.
    """
    count = views.shape[1]
    if count == 1:
        return views.sum() * 0.0
    cosines = off_diagonal(views @ views.transpose(1, 2))  # (B, K (K - 1))
    if penalty == "square":
        return cosines.square().mean()
    if penalty == "abs":
        return cosines.abs().mean()
    if penalty == "frobenius":
        # the diagonal of G - I is zero for unit vectors; 1e-12 keeps the gradient finite once the views are orthogonal
        return (cosines.square().sum(1) + 1e-12).sqrt().mean()
    if penalty == "margin":
        return (cosines.abs() - gamma).clamp(min=0).mean()
    raise ValueError(f"no penalty '{penalty}'; there are square, abs, frobenius and margin")


def mean_overlap(views: Tensor) -> Tensor:
    """() mean |cosine| between different views of an image, without gradient; zero at K = 1."""
    return view_orthogonality(views.detach(), "abs")


@in_float32
def sibling_cosine(texts: Tensor, image_id: Tensor) -> Tensor:
    """() mean cosine between different captions of one image in the batch, without gradient; zero without such pairs.

    Args:
        texts: (B, D), L2-normalised.
        image_id: (B) the image of each caption.
    """
    siblings = (image_id[:, None] == image_id[None, :]).float().fill_diagonal_(0.0)
    cosines = texts.detach() @ texts.detach().T
    return (cosines * siblings).sum() / siblings.sum().clamp(min=1)
