"""Functions that torch.compile leaves alone; tests/training/test_compile_modules.py compiles a method that has some."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch

from raytrain.encoders.uncompiled import uncompiled


def test_a_function_is_disabled_once_and_only_where_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled: list[str] = []

    def disable(function: Callable[[int], int]) -> Callable[[int], int]:
        disabled.append(function.__name__)
        return lambda value: 100 * function(value)

    monkeypatch.setattr(torch.compiler, "disable", disable)

    @uncompiled
    def doubled(value: int) -> int:
        """Twice."""
        return 2 * value

    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert doubled(2) == 4 and not disabled
    monkeypatch.setitem(sys.modules, "torch._dynamo", torch)
    assert [doubled(2), doubled(3)] == [400, 600] and disabled == ["doubled"]
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Twice.")
