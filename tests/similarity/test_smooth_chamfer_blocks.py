"""Smooth-Chamfer similarity in blocks of queries: the scores and gradients of autograd, and less memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytrain.similarity import element_cosines, functions
from raytrain.similarity.functions import smooth_chamfer
from raytrain.similarity.smooth_chamfer_blocks import PlainKernels, in_blocks


def sets(queries: int, elements: int, items: int, others: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (queries, elements, 8), (items, others, 8)
    query, gallery = (torch.nn.functional.normalize(torch.randn(*s, generator=generator), dim=-1) for s in shapes)
    return query.requires_grad_(), gallery.requires_grad_()


def with_gradients(scores: Tensor, query: Tensor, gallery: Tensor) -> list[Tensor]:
    weights = torch.arange(1.0, 1 + scores.numel()).view_as(scores) / scores.numel()
    return [scores.detach(), *torch.autograd.grad((scores * weights).sum(), (query, gallery))]


def by_autograd(query: Tensor, gallery: Tensor, alpha: float) -> list[Tensor]:
    scaled = alpha * element_cosines(query, gallery)
    scores = (torch.logsumexp(scaled, 3).mean(1) + torch.logsumexp(scaled, 1).mean(2)) / (2 * alpha)
    return with_gradients(scores, query, gallery)


@pytest.mark.parametrize("block_bytes", [1, 500, 2**25], ids=["a query", "two queries", "all"])
@pytest.mark.parametrize("shape", [(5, 1, 3, 1), (5, 3, 4, 2), (2, 4, 7, 4)])
def test_scores_and_gradients_are_those_of_autograd(shape: tuple[int, int, int, int], block_bytes: int) -> None:
    query, gallery = sets(*shape)
    given = with_gradients(in_blocks(query, gallery, 16.0, PlainKernels(), block_bytes), query, gallery)
    for value, expected in zip(given, by_autograd(query, gallery, 16.0), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_what_is_kept_for_the_way_back_is_the_embeddings() -> None:
    query, gallery = sets(6, 4, 9, 4)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        in_blocks(query, gallery, 16.0, PlainKernels())
    assert sum(tensor.numel() for tensor in kept) == query.numel() + gallery.numel()


def test_autocast_leaves_the_products_in_float32() -> None:
    query, gallery = sets(6, 4, 9, 4)
    with torch.autocast("cpu", torch.bfloat16):
        given = with_gradients(in_blocks(query, gallery, 16.0, PlainKernels()), query, gallery)
    assert all(torch.equal(a, b) for a, b in zip(given, _in_float32(query, gallery), strict=True))


def _in_float32(query: Tensor, gallery: Tensor) -> list[Tensor]:
    return with_gradients(in_blocks(query, gallery, 16.0, PlainKernels()), query, gallery)


def test_a_cpu_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "ON_GPU_FROM", 0)
    monkeypatch.setattr(functions, "in_blocks", None)
    assert smooth_chamfer(*sets(2, 2, 2, 2), 16.0).shape == (2, 2)
