"""Candidates: which entries of an index are worth an exact score, from FAISS over their vectors or over their means.

"flat", "fp16" and "sq8" compare a query's vectors with all vectors of all entries, stored with 32, 16 or 8 bits per
number: what they leave out is bounded (raytrain/retrieval/index/certificate.py). "hnsw" walks a graph of the entries'
mean vectors: much faster on many entries, and nothing is known of what it leaves out.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.errors import UsageError, pip_install
from raytrain.files import replacing
from raytrain.methods.base import Method
from raytrain.retrieval.index.manifest import CandidateKind, CandidatesEntry

LINKS, BUILD_BREADTH = 16, 64
"""Of HNSW: neighbours per entry and level, and breadth of the search that finds them."""
_AT_ONCE = 2**14


@dataclass(frozen=True)
class Accuracy:
    """What the stored vectors lose.

    Args:
        error: largest distance of a vector from what is stored of it.
        longest: largest length of a vector.
    """

    error: float
    longest: float


class Candidates:
    """FAISS over the vectors, or the means, of entries.

    Args:
        faiss_index: of `vectors` x entries rows, those of an entry together; or of one row per entry.
        entry: what index.json says of it.
        vectors: J per entry.
    """

    def __init__(self, faiss_index: Any, entry: CandidatesEntry, vectors: int) -> None:
        self.faiss_index, self.entry, self.vectors = faiss_index, entry, vectors

    @property
    def bounded(self) -> bool:
        """Whether what a search leaves out is bounded."""
        return self.entry.kind != "hnsw"

    def nearest(self, asking: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, count) inner products with the stored vectors, largest first, and (n, count) the entries they are of.

        An entry may stand there for several of its vectors; -1 stands for none, which HNSW may leave.

        Args:
            asking: (n, D) float32.
            count: at most `len`.
        """
        if self.bounded:
            products, rows = self.faiss_index.search(asking, count)
            return products, rows // self.vectors
        breadth = _faiss().SearchParametersHNSW(efSearch=max(count, BUILD_BREADTH))
        products, rows = self.faiss_index.search(asking, count, params=breadth)
        return products, rows

    def __len__(self) -> int:
        return int(self.faiss_index.ntotal)


def refuse_unfit(model: Method, kind: CandidateKind) -> None:
    """Raises UsageError where FAISS is not installed, or candidates of this kind would say nothing of a method."""
    name = type(model).__name__
    if model.local_features or (kind != "hnsw" and not model.monotone):
        other = "" if model.local_features else ", or give --faiss hnsw, whose recall is measured"
        raise UsageError(
            f"the scores of {name} have no bound by inner products, which --faiss {kind} would need to prove an "
            f"answer: leave --faiss out, and every entry is compared{other}"
        )
    _faiss()


def build(embeddings: Tensor, kind: CandidateKind, path: Path) -> Accuracy | None:
    """Write candidates over (N, ...) embeddings to a file; what they lose, or None for "hnsw"."""
    faiss, dim = _faiss(), embeddings.shape[-1]
    index: Any
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_BREADTH
    elif kind == "flat":
        index = faiss.IndexFlatIP(dim)
    else:
        stored = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit}[kind]
        index = faiss.IndexScalarQuantizer(dim, stored, faiss.METRIC_INNER_PRODUCT)
        index.train(_ranges(embeddings))
    accuracy = Accuracy(0.0, 0.0)
    for rows in _blocks(embeddings):
        if kind == "hnsw":
            index.add(means(rows))
            continue
        vectors = rows.reshape(-1, dim).numpy()
        index.add(vectors)
        kept = index.reconstruct_n(index.ntotal - len(vectors), len(vectors)).astype(np.float64)
        error = float(np.linalg.norm(vectors - kept, axis=1).max())
        longest = float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
        accuracy = Accuracy(max(accuracy.error, error), max(accuracy.longest, longest))
    with replacing(path) as part:
        faiss.write_index(index, str(part))
    return None if kind == "hnsw" else accuracy


def open_candidates(path: Path, entry: CandidatesEntry, vectors: int) -> Candidates:
    """Candidates of a file, whose vectors stay on disk, memory-mapped, where FAISS can.

    Raises:
        UsageError: FAISS is not installed.
    """
    faiss = _faiss()
    return Candidates(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), entry, vectors)


def means(embeddings: Tensor) -> np.ndarray:
    """(N, D) float32 mean vector of each of (N, D) or (N, J, D) embeddings, not normalised."""
    mean = embeddings if embeddings.ndim == 2 else embeddings.mean(1)
    numbers: np.ndarray = mean.float().cpu().contiguous().numpy()
    return numbers


def _blocks(embeddings: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(embeddings), _AT_ONCE):
        yield embeddings[start : start + _AT_ONCE]


def _ranges(embeddings: Tensor) -> np.ndarray:
    """(2, D) least and largest number of each dimension, by which FAISS chooses its 256 steps."""
    ends = [(rows.reshape(-1, rows.shape[-1]).amin(0), rows.reshape(-1, rows.shape[-1]).amax(0))
            for rows in _blocks(embeddings)]  # fmt: skip
    low, high = torch.stack([end[0] for end in ends]).amin(0), torch.stack([end[1] for end in ends]).amax(0)
    numbers: np.ndarray = torch.stack([low, high]).numpy()
    return numbers


def _faiss() -> Any:
    """The module; UsageError where it is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise UsageError(f"candidates need the package faiss-cpu: {pip_install('index')}")
    return importlib.import_module("faiss")
