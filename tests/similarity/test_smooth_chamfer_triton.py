"""The Triton kernels of smooth-Chamfer similarity against torch's operations: on a GPU, or on Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

from raytrain.similarity.smooth_chamfer_blocks import PlainKernels, in_blocks
from tests.similarity.test_smooth_chamfer_blocks import by_autograd, sets, with_gradients

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed; it comes with torch's CUDA builds", allow_module_level=True)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are decorated

from raytrain.similarity.smooth_chamfer_triton import TritonKernels

SHAPES = [(2, 1, 3, 1), (3, 4, 5, 4), (2, 3, 150, 5), (1, 32, 3, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("alpha", [1.0, 16.0])
def test_kernels_compute_what_torch_computes(shape: tuple[int, int, int, int], alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    queries, elements, items, others = shape
    cosines = (2 * torch.rand(queries, elements, items, others, generator=generator) - 1).to(DEVICE)
    of_scores = torch.randn(queries, items, generator=generator).to(DEVICE)
    plain, compiled = PlainKernels(), TritonKernels()
    torch.testing.assert_close(compiled.scores(cosines, alpha), plain.scores(cosines, alpha), rtol=1e-5, atol=1e-6)
    expected = plain.gradient(cosines, of_scores, alpha)
    torch.testing.assert_close(compiled.gradient(cosines, of_scores, alpha), expected, rtol=1e-5, atol=1e-6)


def test_a_large_scale_does_not_overflow() -> None:
    cosines = torch.tensor([[[[1.0, -1.0]], [[-1.0, 1.0]]]], device=DEVICE)
    torch.testing.assert_close(TritonKernels().scores(cosines, 1e4), torch.ones(1, 1, device=DEVICE))


def test_scores_and_gradients_of_embeddings_are_those_of_autograd() -> None:
    query, gallery = (side.detach().to(DEVICE).requires_grad_() for side in sets(3, 4, 5, 4))
    given = with_gradients(in_blocks(query, gallery, 16.0, TritonKernels(), 300).cpu(), query, gallery)
    for value, expected in zip(given, by_autograd(query.cpu(), gallery.cpu(), 16.0), strict=True):
        torch.testing.assert_close(value.cpu(), expected.cpu(), rtol=1e-5, atol=1e-6)
