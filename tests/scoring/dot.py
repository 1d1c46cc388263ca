"""A method that compares what it is given by dot product, and random embeddings of a split."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.data.table import QuerySplit, Split
from raytrain.methods.base import Method
from raytrain.scoring.protocol_runner import Scored


class Dot(Method):
    """(M, D) and (N, D) -> (M, N) dot products; embeddings are made elsewhere."""

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return query @ gallery.T


def embeddings(split: Split | QuerySplit, seed: int = 0, dims: int = 4) -> tuple[Tensor, Tensor]:
    """Random (M, D) embeddings of the split's queries and (N, D) of its images."""
    generator = torch.Generator().manual_seed(seed)
    queries = len(split.texts) if isinstance(split, Split) else len(split)
    query = torch.randn(queries, dims, generator=generator)
    return query, torch.randn(len(split.items), dims, generator=generator)


def scored(split: Split | QuerySplit, seed: int = 0, dims: int = 4) -> Scored:
    """A split with random embeddings."""
    return Scored(Dot(), split, *embeddings(split, seed, dims))
