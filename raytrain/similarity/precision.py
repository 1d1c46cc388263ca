"""float32 for scores, losses and normalisations, whatever precision the encoders are computed in.

Under autocast torch computes matrix products in bfloat16 or float16. A hinge between two near scores needs more digits
than these have: the hardest negative would be another one, and its gradient that of another pair.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

P = ParamSpec("P")
R = TypeVar("R")


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is wider."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def l2_normalize(rows: Tensor, dim: int = -1, eps: float = 1e-12) -> Tensor:
    """Rows of unit length along a dimension, in float32 or wider.

    Args:
        rows: of any floating-point type.
        dim: of the vectors.
        eps: least denominator, so that a row of zeros stays one.
    """
    rows = wide(rows)
    recorded = torch.compiler.is_compiling() or torch.compiler.is_exporting() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
    if recorded or not (torch.is_grad_enabled() and rows.requires_grad):
        return normalize(rows, dim=dim, eps=eps)
    return _Unit.apply(rows, dim, eps)  # type: ignore[no-any-return, no-untyped-call]


class _Unit(torch.autograd.Function):
    """`normalize`, whose gradient takes half as many passes over the rows as that of a norm and a division."""

    @staticmethod
    def forward(context: Any, rows: Tensor, dim: int, eps: float) -> Tensor:
        length = rows.norm(2, dim, keepdim=True)
        bounded = length.clamp_min(eps)
        unit: Tensor = rows / bounded
        context.save_for_backward(unit, length, bounded)
        context.dim, context.eps = dim, eps
        return unit

    @staticmethod
    @once_differentiable
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        unit, length, bounded = context.saved_tensors
        # along a row nothing changes, unless it is so short that it is divided by eps
        along = (slopes * unit).sum(context.dim, keepdim=True) * (length >= context.eps)
        return torch.addcmul(slopes, unit, along, value=-1).div_(bounded), None, None


def in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """The function with its floating-point tensors in float32 or wider, outside of autocast and without TF32."""

    @functools.wraps(function)
    def computed(*given: P.args, **named: P.kwargs) -> R:
        values: Any = [_wide_if_floating(value) for value in given]
        more: Any = {name: _wide_if_floating(value) for name, value in named.items()}
        kind = next(value.device.type for value in (*values, *more.values()) if isinstance(value, Tensor))
        with full_precision(kind):
            return function(*values, **more)

    return computed


@contextlib.contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """Inside, products of float32 stay float32 on devices of this type: no autocast, no TF32."""
    if not torch.is_autocast_enabled(kind) and not torch.backends.cuda.matmul.allow_tf32:
        yield
        return
    with torch.autocast(kind, enabled=False), tf32(False):
        yield


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Inside, a GPU may take products and recurrences of float32 in TF32, which keeps 10 of its 23 binary digits."""
    products, recurrences = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, recurrences.allow_tf32
    products.allow_tf32 = recurrences.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, recurrences.allow_tf32 = before


def _wide_if_floating(value: object) -> object:
    return wide(value) if isinstance(value, Tensor) and value.is_floating_point() else value
