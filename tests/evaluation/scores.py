"""Score matrices that the tests of re-ranking and of the search share."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.evaluation.reranking.query_bank import QueryBank


def cosines(queries: int, gallery: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.rand(queries, gallery, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def hubs(images: int = 30, per_image: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores that are right but for one offset per image, which re-ranking of t2i takes away."""
    generator = torch.Generator().manual_seed(seed)
    owner = torch.arange(images).repeat_interleave(per_image)
    right = (owner[:, None] == torch.arange(images)).float() * 0.3
    noise = 0.1 * torch.rand(images * per_image, images, generator=generator)
    return right + noise + 0.6 * torch.rand(images, generator=generator), owner


def bank_of(images: int, per_image: int, size: int = 40, seed: int = 9) -> QueryBank:
    """Other queries against the gallery of `hubs`, with the same hubs."""
    generator = torch.Generator().manual_seed(seed)
    offsets = hubs(images, per_image)[0].mean(0)
    return QueryBank(
        torch.rand(images * per_image, size, generator=generator) * 0.1,
        offsets + 0.1 * torch.rand(size, images, generator=generator),
        seed,
    )
