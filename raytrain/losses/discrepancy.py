"""Maximum mean discrepancy between the image and the text embeddings of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.similarity.precision import in_float32


def discrepancy_loss(images: Tensor, texts: Tensor, gamma: float = 0.5) -> Tensor:
    """() mean k(X, X) - 2 mean k(X, Y) + mean k(Y, Y), k(x, y) = exp(-gamma ||x - y||) (PVSE, CVPR 2019; DivE).

    The code of neither paper squares the distance. Pairs of an element with itself count. At two equal elements the
    distance is zero, and so is its gradient.

    Args:
        images: (N, D) elements of all images of the batch.
        texts: (M, D) elements of all captions of the batch; M need not equal N.
        gamma: rate of the kernel, per unit of distance.
    """

    pairs = (images, images), (images, texts), (texts, texts)
    of_images, of_both, of_texts = (kernel_means(x, y, gamma).mean() for x, y in pairs)
    return of_images - 2 * of_both + of_texts


@in_float32
def kernel_means(x: Tensor, y: Tensor, gamma: float = 0.5) -> Tensor:
    """(N, D), (M, D) -> (N,) mean over y of the kernel of `discrepancy_loss`."""
    # cdist's gradient at zero distance is zero; that of a plain square root is NaN
    return torch.exp(-gamma * torch.cdist(x, y)).mean(1)
