"""Maximum mean discrepancy between the image and the text embeddings of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def discrepancy_loss(images: Tensor, texts: Tensor, gamma: float = 0.5) -> Tensor:
    """() mean k(X, X) - 2 mean k(X, Y) + mean k(Y, Y), k(x, y) = exp(-gamma ||x - y||) (PVSE, CVPR 2019; DivE).

    The code of neither paper squares the distance. Pairs of an element with itself count. At two equal elements the
    distance is zero, and so is its gradient.

    Args:
        images: (N, D) elements of all images of the batch.
        texts: (M, D) elements of all captions of the batch; M need not equal N.
        gamma: rate of the kernel, per unit of distance.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        # cdist's gradient at zero distance is zero; that of a plain square root is NaN
        return torch.exp(-gamma * torch.cdist(x, y)).mean()

    with torch.autocast(images.device.type, enabled=False):
        wide = torch.promote_types(images.dtype, torch.float32)
        x, y = images.to(wide), texts.to(wide)
        return kernel(x, x) - 2 * kernel(x, y) + kernel(y, y)
