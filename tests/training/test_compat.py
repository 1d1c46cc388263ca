"""The private names of torch that training uses are there and do what they did."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from raytrain.training.compat import AdamW, move_towards

METHODS = ("zero_grad", "add_param_group", "state_dict", "load_state_dict")
"""Of torch's optimizers, those that are left out of what its compiler compiles."""


def test_tensors_move_as_lerp_moves_them() -> None:
    generator = torch.Generator().manual_seed(0)
    averages, values = ([torch.randn(3, n, generator=generator) for n in (1, 4)] for _ in range(2))
    expected = [average.lerp(value, 1 - 0.999) for average, value in zip(averages, values, strict=True)]
    move_towards(averages, values, 1 - 0.999)
    assert all(torch.equal(moved, wanted) for moved, wanted in zip(averages, expected, strict=True))


def test_the_optimizer_is_torchs_and_does_without_its_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of torch: whether another method of its optimizers imports torch._dynamo."""
    calls: list[str] = []

    def recorded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            calls.append(name)
            return method(*given, **more)

        return call

    compiler = SimpleNamespace(graph_break=lambda: calls.append("step"))
    monkeypatch.setitem(sys.modules, "torch._dynamo", compiler)
    monkeypatch.setattr(torch, "_dynamo", compiler, raising=False)
    methods = {name: inspect.unwrap(getattr(torch.optim.Optimizer, name)) for name in METHODS}
    for name, method in methods.items():  # where torch keeps the method that its compiler leaves out
        monkeypatch.setattr(method, "__dynamo_disable", recorded(name, method), raising=False)

    def trained(kind: type[torch.optim.AdamW]) -> tuple[torch.Tensor, dict[str, Any], set[str]]:
        calls.clear()
        weight = nn.Parameter(torch.linspace(-1, 1, 5))
        optimizer, other = (kind([{"params": [weight]}], lr=0.1, weight_decay=0.1, fused=True) for _ in range(2))
        for _ in range(3):
            optimizer.zero_grad()
            (weight**3).sum().backward()
            optimizer.step()
        other.load_state_dict(optimizer.state_dict())
        other.step()
        return weight.detach(), other.state_dict(), set(calls)

    weight, state, asks = trained(AdamW)
    assert asks == set()
    expected, expected_state, asks = trained(torch.optim.AdamW)
    assert asks == {"step", *METHODS}
    assert torch.equal(weight, expected)
    assert state["param_groups"] == expected_state["param_groups"]
    assert all(torch.equal(value, expected_state["state"][0][name]) for name, value in state["state"][0].items())
