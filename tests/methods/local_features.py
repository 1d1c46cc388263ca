"""Local features for tests, and the attention between them as plain Python loops in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Vectors = list[list[float]]


def locals_of(lengths: list[int], dim: int = 5, seed: int = 0, longest: int | None = None) -> Tensor:
    """(N, n, dim) unit vectors in float64, as many an item as `lengths` says and rows of zeros after them."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(len(lengths), longest or max(lengths), dim, dtype=torch.float64)
    for row, length in enumerate(lengths):
        vectors = torch.randn(length, dim, generator=generator, dtype=torch.float64)
        found[row, :length] = torch.nn.functional.normalize(vectors, dim=-1)
    return found


def members(local: Tensor, lengths: list[int]) -> list[Vectors]:
    """The real vectors of each item."""
    return [item[:length].tolist() for item, length in zip(local, lengths, strict=True)]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a: list[float]) -> list[float]:
    length = math.sqrt(dot(a, a))
    return [x / length for x in a]


def attended(query: Vectors, context: Vectors, scale: float) -> Vectors:
    """The vector that each member of the query attends to, not normalised (SCAN, equations 1 to 3)."""
    steep = [[c if c > 0 else 0.1 * c for c in (dot(q, v) for q in query)] for v in context]  # [context][query]
    norms = [math.sqrt(sum(a * a for a in row)) for row in steep]
    found = []
    for t in range(len(query)):
        powers = [math.exp(scale * row[t] / norm) for row, norm in zip(steep, norms, strict=True)]
        weights = [power / sum(powers) for power in powers]
        found.append([sum(w * v[d] for w, v in zip(weights, context, strict=True)) for d in range(len(query[t]))])
    return found


def affine(layer: torch.nn.Linear, x: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]
