"""Scores, losses and normalisations are those of float32 under autocast, for every method and both half precisions.

Methods hand what they embedded to `StepContext.gather`, before they compare it. Here a gather keeps those embeddings in
one pass in float32, and puts them in the place of a second pass's own, under autocast: whatever then differs was
computed after the encoders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from raytrain.data.load.batches import to_device
from raytrain.data.table import Table
from raytrain.methods.base import Batch, StepContext
from raytrain.similarity.precision import tf32
from tests.gpu.steps import STEPS, Run, open_run

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
    ),
]


class Pass:
    """One forward and backward pass with its own gather.

    Args:
        run: its model and batch.
        given: embeddings that take the place of the pass's own, in the order in which they are gathered; None: its own.

    Attributes:
        own: what the method embedded, as it was gathered.
        gathered: leaves that the method went on with.
        scores: of `similarity`, in the order of its calls.
        losses: {name: its value}.
    """

    def __init__(self, run: Run, batch: Batch, half: torch.dtype | None, given: list[Tensor] | None) -> None:
        self.own: list[Tensor] = []
        self.gathered: list[Tensor] = []
        self.scores: list[Tensor] = []
        model = run.state.model
        compare: Callable[..., Tensor] = model.similarity

        def gather(tensor: Tensor) -> Tensor:
            self.own.append(tensor.detach())
            leaf = (tensor if given is None else given[len(self.gathered)]).detach().clone()
            self.gathered.append(leaf.requires_grad_() if leaf.is_floating_point() else leaf)
            return leaf

        def similarity(query: Tensor, gallery: Tensor) -> Tensor:
            self.scores.append(compare(query, gallery))
            return self.scores[-1]

        model.similarity = similarity  # type: ignore[method-assign]
        torch.manual_seed(0)
        with torch.autocast(run.state.device.type, half, enabled=half is not None):
            losses: dict[str, Tensor] = model(batch, StepContext(2.0, 5, gather))
        del model.similarity
        losses["loss"].backward()
        self.losses = {name: value.detach() for name, value in losses.items()}

    def gradients(self) -> list[Tensor]:
        return [leaf.grad for leaf in self.gathered if leaf.grad is not None]


def passes(name: str, tables: Table, device: str, half: torch.dtype) -> tuple[Pass, Pass]:
    """The pass in float32, and the one under autocast that goes on with the embeddings of the first."""
    runs = [open_run(name, tables, torch.device(device)) for _ in range(2)]  # a step moves buffers
    batches: Any = [to_device(next(run.batches), run.state.device) for run in runs]
    whole = Pass(runs[0], batches[0], None, None)
    return whole, Pass(runs[1], batches[1], half, whole.gathered)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", [name for name in STEPS if name != "query-half"])  # has no loss
def test_what_follows_the_encoders_is_computed_in_float32(
    name: str, precision: str, device: str, gpu_tables: Table
) -> None:
    whole, half = passes(name, gpu_tables, device, HALVES[precision])
    for own in half.own:
        assert own.dtype == torch.float32 or not own.is_floating_point()
    for expected, scores in zip(whole.scores, half.scores, strict=True):
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-6)
        if scores.shape[0] == scores.shape[1]:
            same = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
            hardest = (each.masked_fill(same, -torch.inf).argmax(1) for each in (scores, expected))
            assert torch.equal(*hardest)
    assert half.losses["loss"].dtype == torch.float32
    torch.testing.assert_close(half.losses["loss"], whole.losses["loss"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(half.gradients(), whole.gradients(), rtol=1e-4, atol=1e-6)


class Products(TorchDispatchMode):
    """Whether TF32 is allowed at each matrix product inside."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[bool] = []

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        if function.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm"):
            self.allowed.append(torch.backends.cuda.matmul.allow_tf32)
        return function(*given, **(named or {}))


@pytest.mark.parametrize("name", STEPS)
def test_no_score_is_computed_in_tf32(name: str, gpu_tables: Table) -> None:
    run = open_run(name, gpu_tables, torch.device("cpu"))
    batch, model = to_device(next(run.batches), run.state.device), run.state.model.eval()
    with torch.no_grad(), tf32(True):
        query, gallery = model.encode_query(batch), model.encode_gallery(batch)
        with Products() as products:
            model.similarity(query, gallery)
    assert products.allowed and not any(products.allowed)


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", ["vse_infinity", "dvse", "vsepp-words", "pvse", "asymvlm", "query-rau"])
def test_vectors_of_unit_length_have_it_to_float32(name: str, precision: str, gpu_tables: Table) -> None:
    whole, half = passes(name, gpu_tables, "cpu", HALVES[precision])
    compared = 0
    for expected, own in zip(whole.own, half.own, strict=True):
        if own.is_floating_point() and (expected.norm(dim=-1) - 1).abs().max() < 1e-5:
            assert (own.norm(dim=-1) - 1).abs().max() < 1e-5
            compared += 1
    assert compared
