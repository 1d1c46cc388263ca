"""Fast Re-ranking by exact sums: what every precision and every path is compared with."""

from __future__ import annotations

from decimal import Decimal, localcontext

import torch
from torch import Tensor
from torch.nn.functional import normalize

SCALES = [1.0, 20.0, 170.0, 480.0, 500.0]


def matched(images: int = 14, per_image: int = 2, dim: int = 6, noise: float = 1.2) -> tuple[Tensor, Tensor]:
    """(M, N) float32 cosines of texts that lie near their images, and the image of each text."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(images, dim, generator=generator)
    owner = torch.arange(images).repeat_interleave(per_image)
    text = image[owner] + noise * torch.randn(len(owner), dim, generator=generator)
    return normalize(text, dim=1) @ normalize(image, dim=1).T, owner


def exact_keys(queries: list[list[float]], others: list[list[float]], scale: float, mode: str) -> list[list[Decimal]]:
    """B, B * R or score + B of each pair as the equations have them, with 200 digits.

    Args:
        queries: Q rows of G scores.
        others: rows of G scores of the queries that are normalised over.
    """
    with localcontext() as context:
        context.prec = 200
        s = Decimal(scale)
        powers = [[(s * Decimal(score)).exp() for score in row] for row in queries]
        by_others = [[(s * Decimal(score)).exp() for score in row] for row in others]
        sums = [sum(column, Decimal(0)) for column in zip(*by_others, strict=True)]
        keys = []
        for row, scores in zip(powers, queries, strict=True):
            shares = [power / total for power, total in zip(row, sums, strict=True)]
            if mode == "product":
                whole = sum(row, Decimal(0))
                shares = [share * power / whole for share, power in zip(shares, row, strict=True)]
            if mode == "additive":
                shares = [share + Decimal(score) for share, score in zip(shares, scores, strict=True)]
            keys.append(shares)
        return keys


def places(keys: list[list[Decimal]], positives: list[list[int]]) -> list[int]:
    """Rank of each query's best positive."""
    return [sum(key > max(row[p] for p in own) for key in row) for row, own in zip(keys, positives, strict=True)]


def exact_ranks(scores: Tensor, owner: Tensor, direction: str, mode: str, scale: float) -> list[int]:
    """Rank of each query's best positive in a direction of a text-image matrix."""
    rows = (scores.T if direction == "i2t" else scores).tolist()
    own_texts = [[m for m, image in enumerate(owner.tolist()) if image == n] for n in range(scores.shape[1])]
    return places(exact_keys(rows, rows, scale, mode), own_texts if direction == "i2t" else owner[:, None].tolist())
