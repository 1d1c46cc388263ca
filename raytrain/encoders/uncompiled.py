"""Functions that torch.compile (`optim.compile`) leaves as they are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """`torch.compiler.disable`, without importing torch's compiler (3 s of CPU) where nothing is compiled.

    For loops whose length depends on the data: each length would be compiled anew.
    """

    disabled: list[Callable[P, R]] = []

    @functools.wraps(function)
    def called(*given: P.args, **named: P.kwargs) -> R:
        if "torch._dynamo" not in sys.modules:
            return function(*given, **named)
        if not disabled:
            disabled.append(cast(Callable[P, R], torch.compiler.disable(function)))  # type: ignore[no-untyped-call]
        return disabled[0](*given, **named)

    return called
