"""The fake GPU: the CPU's numbers, an error where devices are mixed, and a record of every wait."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.gpu.fake_gpu import DeviceMismatch, FakeGPU, Wait


def on(gpu: FakeGPU, tensor: Tensor) -> Tensor:
    """The tensor on the device, uploaded without a wait."""
    return tensor.pin_memory().to(gpu.device, non_blocking=True)


def of_gpu(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor.cpu()


def test_a_step_on_it_computes_what_the_cpu_computes(fake_gpu: FakeGPU) -> None:
    torch.manual_seed(0)
    rows, model = torch.randn(5, 4), nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))
    model(rows).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    model.to(fake_gpu.device)
    loss = model(on(fake_gpu, rows)).square().sum()
    loss.backward()
    assert loss.device == fake_gpu.device
    assert [of_gpu(parameter.grad).tolist() for parameter in model.parameters()] == [part.tolist() for part in expected]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_gru_on_it_computes_what_the_cpu_computes(bidirectional: bool, fake_gpu: FakeGPU) -> None:
    torch.manual_seed(0)
    rows, gru = torch.randn(5, 3, 4), nn.GRU(4, 6, bidirectional=bidirectional)
    outputs = gru(rows)[0]
    outputs.square().sum().backward()
    expected = [parameter.grad.clone() for parameter in gru.parameters() if parameter.grad is not None]
    gru.zero_grad()
    gru.to(fake_gpu.device)
    there = gru(on(fake_gpu, rows))[0]
    there.square().sum().backward()
    torch.testing.assert_close(there.cpu(), outputs)
    torch.testing.assert_close([of_gpu(parameter.grad) for parameter in gru.parameters()], expected)


def test_a_planted_mismatch_is_an_error_at_its_line(fake_gpu: FakeGPU) -> None:
    there = on(fake_gpu, torch.ones(3, 3))
    forgotten = torch.eye(3)
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(DeviceMismatch, match=rf"mul has .* at tests/gpu/test_fake_gpu\.py:{line}$"):
        there * forgotten


WAITS: dict[str, tuple[str, Callable[[Tensor], object]]] = {
    "item": ("read", lambda there: there[0, 0].item()),
    "float": ("read", lambda there: float(there.sum())),
    "if": ("read", lambda there: 1 if there.isfinite().all() else 0),
    "tolist": ("copy to the host", lambda there: there.tolist()),
    "cpu": ("copy to the host", lambda there: there.cpu()),
    "nonzero": ("size by values", lambda there: there.nonzero()),
    "boolean mask": ("size by values", lambda there: there[there > 0]),
    "assignment by a mask": ("size by values", lambda there: there.__setitem__(there > 0, 0.0)),
    "unique": ("size by values", lambda there: torch.unique(there)),
    "repeat_interleave": ("size by values", lambda there: there[0].repeat_interleave(there[0].long())),
    "upload": ("upload", lambda there: torch.ones(3).to(there.device)),
    "tensor of numbers": ("upload", lambda there: torch.tensor([1.0, 2.0], device=there.device)),
    "index of the CPU": ("upload", lambda there: there[torch.tensor([0, 1])]),
    "unpinned, asynchronous upload": ("upload", lambda there: torch.ones(3).to(there.device, non_blocking=True)),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_a_real_gpu_would_wait_for_is_recorded(name: str, fake_gpu: FakeGPU) -> None:
    kind, work = WAITS[name]
    there = on(fake_gpu, torch.ones(3, 3))
    assert fake_gpu.waits == []
    work(there)
    assert [wait.kind for wait in fake_gpu.waits] == [kind]
    assert fake_gpu.waits[0].place.startswith("tests/gpu/test_fake_gpu.py:")


NO_WAITS: dict[str, Callable[[Tensor], object]] = {
    "product": lambda there: there @ there.T,
    "mask": lambda there: there.masked_fill(there > 0, 0.0).sum(),
    "index": lambda there: there[torch.arange(2, device=there.device)],
    "slice": lambda there: there[:, 1:].contiguous(),
    "sort": lambda there: there.sort(1),
    "fill": lambda there: there.new_zeros(3) + 1.5,
    "pinned upload": lambda there: torch.ones(3).pin_memory().to(there.device, non_blocking=True),
    "download to pinned memory": lambda there: torch.empty(3).pin_memory().copy_(there[0], non_blocking=True),
}


@pytest.mark.parametrize("name", NO_WAITS)
def test_what_a_real_gpu_does_on_its_own_is_not(name: str, fake_gpu: FakeGPU) -> None:
    NO_WAITS[name](on(fake_gpu, torch.ones(3, 3)))
    assert fake_gpu.waits == []


def test_waits_of_one_place_are_equal(fake_gpu: FakeGPU) -> None:
    there = on(fake_gpu, torch.ones(3))
    for _ in range(2):
        there.sum().item()
    first, second = fake_gpu.waits
    assert first == second == Wait("read", "_local_scalar_dense", first.place)
