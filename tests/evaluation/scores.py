"""Score matrices that the tests of re-ranking and of the search share."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.evaluation.reranking.query_bank import QueryBank


def cosines(queries: int, gallery: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.rand(queries, gallery, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def hubs(images: int = 30, each: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores that are right but for one offset per image, which re-ranking of t2i takes away."""
    generator = torch.Generator().manual_seed(seed)
    owner = torch.arange(images).repeat_interleave(each)
    right = (owner[:, None] == torch.arange(images)).float() * 0.3
    noise = 0.1 * torch.rand(images * each, images, generator=generator)
    return right + noise + 0.6 * torch.rand(images, generator=generator), owner


def bank_of(images: int, each: int, size: int = 40, seed: int = 9) -> QueryBank:
    """Other queries against the gallery of `hubs`, with the same hubs."""
    generator = torch.Generator().manual_seed(seed)
    offsets = hubs(images, each)[0].mean(0)
    return QueryBank(
        torch.rand(images * each, size, generator=generator) * 0.1,
        offsets + 0.1 * torch.rand(size, images, generator=generator),
        seed,
    )
