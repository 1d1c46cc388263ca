"""Embeddings made up for tests of an index, and the methods' similarities without their encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain import similarity
from raytrain.methods.base import Method
from raytrain.retrieval.index.candidates import Accuracy, Candidates, build, open_candidates
from raytrain.retrieval.index.manifest import CandidateKind, CandidatesEntry
from raytrain.retrieval.index.store import file_entry


class Compared(Method):
    """A method that is its similarity alone."""

    monotone = True

    def __init__(self, compare: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.compare = compare

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return self.compare(query, gallery)


def views(score: str, scale: float = 16.0, weights: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """DVSE's similarity of (Q, D) and (G, K, D)."""
    return lambda query, gallery: similarity.pool_views(
        similarity.view_similarity(query, gallery), score, scale, weights
    )


def smooth_chamfer(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda query, gallery: similarity.smooth_chamfer(query, gallery, alpha)


def sets(entries: int, vectors: int, dim: int, seed: int, how: str = "random") -> Tensor:
    """(entries, vectors, dim) of unit length.

    Args:
        how: "random"; "clustered", in a few narrow groups; "tied", copies of three entries; "twins", random entries
            each of which stands there twice, with its vectors in another order; "one", vectors of an entry all alike.
    """
    draw = torch.Generator().manual_seed(seed)
    made = torch.randn(entries, vectors, dim, generator=draw)
    if how == "clustered":
        made = made[: max(1, entries // 20)].repeat(20, 1, 1)[:entries] + 0.05 * made
    if how == "tied":
        made = made[torch.randint(min(3, entries), (entries,), generator=draw)]
    if how == "twins":
        made = torch.cat([made[: (entries + 1) // 2], made[: entries // 2].flip(1)])
    if how == "one":
        made = made[:, :1].expand(-1, vectors, -1)
    return normalize(made, dim=-1).contiguous()


def candidates(folder: Path, embeddings: Tensor, kind: CandidateKind) -> Candidates:
    """Candidates over embeddings, not measured."""
    path = folder / f"candidates-0-{kind}.faiss"
    accuracy = build(embeddings, kind, path) or Accuracy(0.0, 0.0)
    entry = CandidatesEntry(
        kind=kind, error=accuracy.error, longest=accuracy.longest, file=file_entry(path), measured=None
    )
    return open_candidates(path, entry, 1 if embeddings.ndim == 2 else embeddings.shape[1])
