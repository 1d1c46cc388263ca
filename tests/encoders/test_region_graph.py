from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.encoders.region_graph import GraphConvolution, RegionGraph, real_first
from tests.encoders.local_features import Vectors, affine, dot, unit

MASK = torch.tensor([[True, True, True, True], [True, False, True, True], [False, True, False, False]])


def regions(dim: int = 6) -> Tensor:
    return torch.randn(3, 4, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def build(blocks: int = 2, norm: str = "features") -> RegionGraph:
    """With batch norms that do not leave a step without effect."""
    torch.manual_seed(0)
    graph = RegionGraph(6, 4, blocks, norm).double()
    for block in graph.blocks:
        torch.nn.init.uniform_(block.norm.weight, 0.5, 1.5)  # type: ignore[union-attr, arg-type]
    return graph


def convolved(block: GraphConvolution, images: list[Vectors]) -> list[Vectors]:
    """v + BN(Linear(E g(v))), E = theta(v) phi(v)^T / n, batch norm over the regions of all images (equations 3, 4)."""
    sums = []
    for image in images:
        values, phis = [affine(block.value, v) for v in image], [affine(block.phi, v) for v in image]
        for v in image:
            edges = [dot(affine(block.theta, v), phi) / len(image) for phi in phis]
            mixed = [sum(e * g[d] for e, g in zip(edges, values, strict=True)) for d in range(len(v))]
            sums.append([dot(row, mixed) for row in block.out.weight.tolist()])
    normal = []
    for d in range(len(sums[0])):
        column = [row[d] for row in sums]
        mean = sum(column) / len(column)
        variance = sum((x - mean) ** 2 for x in column) / len(column)
        weight, bias = block.norm.weight[d].item(), block.norm.bias[d].item()
        normal.append([weight * (x - mean) / math.sqrt(variance + block.norm.eps) + bias for x in column])
    rows = iter(zip(*normal, strict=True))
    return [[[a + b for a, b in zip(v, next(rows), strict=True)] for v in image] for image in images]


def normalised(image: Vectors, norm: str) -> Vectors:
    if norm == "features":
        return [unit(v) for v in image]
    lengths = [math.sqrt(sum(v[d] ** 2 for v in image)) for d in range(len(image[0]))]
    return [[x / length for x, length in zip(v, lengths, strict=True)] for v in image]


@pytest.mark.parametrize("norm", ["features", "regions"])
def test_related_regions_are_those_of_the_equations(norm: str) -> None:
    graph = build(norm=norm)
    actual, mask = graph.related(regions(), MASK)
    images = [
        normalised([affine(graph.linear, v) for v in image[real].tolist()], norm)
        for image, real in zip(regions(), MASK, strict=True)
    ]
    for block in graph.blocks:
        images = convolved(block, images)  # type: ignore[arg-type]
    assert mask.tolist() == [[True] * 4, [True] * 3 + [False], [True] + [False] * 3]
    for row, image in zip(actual, images, strict=True):
        expected = torch.tensor(normalised(image, norm), dtype=torch.float64)
        torch.testing.assert_close(row[: len(image)], expected, rtol=0, atol=1e-12)
        assert not row[len(image) :].any()


def test_an_image_is_the_last_state_of_the_gru_over_its_real_regions() -> None:
    graph = build().eval()
    actual = graph(regions(), MASK)
    for i, real in enumerate(MASK):
        alone = torch.ones(1, int(real.sum()), dtype=torch.bool)
        related, _ = graph.related(regions()[i, real][None], alone)
        _, last = graph.gru(related)
        torch.testing.assert_close(actual[i], torch.nn.functional.normalize(last[0, 0], dim=0))


def test_new_steps_change_nothing() -> None:
    torch.manual_seed(0)
    whole = RegionGraph(6, 4, 4, "features").double()
    related, mask = whole.related(regions(), MASK)
    rows, _ = real_first(regions(), MASK)
    expected = torch.nn.functional.normalize(whole.linear(rows), dim=-1) * mask[..., None]
    torch.testing.assert_close(related, expected)
