"""Local features for tests, and what SCAN and SGRAF compute from them, as plain Python loops in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from raytrain.encoders.alignments import AttentionFiltration, GraphReasoning

Vectors = list[list[float]]


def locals_of(lengths: list[int], dim: int = 5, seed: int = 0, longest: int | None = None) -> Tensor:
    """(N, n, dim) unit vectors in float64, `lengths` of them per item, and rows of zeros after them."""
    generator = torch.Generator().manual_seed(seed)
    local = torch.zeros(len(lengths), longest or max(lengths), dim, dtype=torch.float64)
    for row, length in enumerate(lengths):
        vectors = torch.randn(length, dim, generator=generator, dtype=torch.float64)
        local[row, :length] = torch.nn.functional.normalize(vectors, dim=-1)
    return local


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
    vectors = []
    for t in range(len(query)):
        powers = [math.exp(scale * row[t] / norm) for row, norm in zip(steep, norms, strict=True)]
        weights = [power / sum(powers) for power in powers]
        vectors.append([sum(w * v[d] for w, v in zip(weights, context, strict=True)) for d in range(len(query[t]))])
    return vectors


def affine(layer: torch.nn.Linear, x: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def reasoned(step: GraphReasoning, nodes: Vectors) -> Vectors:
    """The nodes of one pair after a step of reasoning (SGRAF, section 3.3)."""
    queries, keys = ([affine(layer, node) for node in nodes] for layer in (step.query, step.key))
    after = []
    for query in queries:
        powers = [math.exp(dot(query, key)) for key in keys]
        size = range(len(nodes[0]))
        mixed = [sum(p * node[d] for p, node in zip(powers, nodes, strict=True)) / sum(powers) for d in size]
        after.append([max(0.0, x) for x in affine(step.linear, mixed)])
    return after


def filtered(module: AttentionFiltration, nodes: Vectors, mean: float, variance: float) -> list[float]:
    """The filtered vector of one pair, given the statistics of the batch norm (SGRAF, section 3.4)."""
    weight, bias = module.weight.item(), module.bias.item()
    logits = [affine(module.score, node)[0] for node in nodes]
    gates = [sigmoid(weight * (x - mean) / math.sqrt(variance + 1e-5) + bias) for x in logits]
    size = range(len(nodes[0]))
    return unit([sum(g * node[d] for g, node in zip(gates, nodes, strict=True)) / sum(gates) for d in size])
