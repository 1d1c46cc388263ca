"""Products of many rows with many rows in float32, by the fastest route of this machine.

Libraries differ by a factor of two or more in large products, and which one is ahead depends on the processor: oneDNN
on AMD hosts, MKL on most others. The first product of a shape class that takes no gradient measures the routes on
made-up rows, once in a process, and later ones follow. A route must be as exact as float32 sums are: whoever misses
float64 by more than `TOLERANCE` is left out.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

Route = Callable[[Tensor, Tensor], Tensor]

TOLERANCE = 1e-6
"""Largest error of an entry of the product of unit rows; torch.mm has 5e-8 at 1,024 columns, oneDNN 1.4e-7."""

SMALLEST = 2**26
"""Multiplications below which routes do not differ enough to be worth a choice."""

PROBE_ROWS, ROUNDS = 1024, 8


def product(left: Tensor, right: Tensor) -> Tensor:
    """(M, D) and (N, D) -> (M, N) left @ right.T.

    Another route than torch's own is taken for float32 on the CPU alone, and only where no gradient is wanted.
    """
    gradient = torch.is_grad_enabled() and (left.requires_grad or right.requires_grad)
    plain = left.device.type == "cpu" and left.dtype == right.dtype == torch.float32 and not gradient
    if not plain or left.numel() * len(right) < SMALLEST or min(len(left), len(right)) < 2:
        return left @ right.T
    name = _settled or fastest(shape_class(left.shape[1]), torch.get_num_threads())
    return ROUTES[name](left.contiguous(), right.contiguous())


def _torch(left: Tensor, right: Tensor) -> Tensor:
    return left @ right.T


def _onednn(left: Tensor, right: Tensor) -> Tensor:
    # the linear layer of torch.compile's CPU back end: oneDNN without a change of layout before and after
    found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return found


ROUTES: dict[str, Route] = {"torch": _torch, "onednn": _onednn}

_settled: str | None = None


def settle(name: str | None) -> None:
    """Take this route from now on, whatever is fastest: processes that share work must round alike. None measures."""
    global _settled
    if name is not None and name not in ROUTES:
        raise ValueError(f"no route '{name}'; there are {', '.join(ROUTES)}")
    _settled = name


@functools.cache
def fastest(columns: int, threads: int) -> str:
    """The name of the fastest route that is exact, for rows of about so many columns.

    Args:
        columns: a power of two.
        threads: of torch; the measurement is kept apart for each number of them.
    """
    draw = torch.Generator().manual_seed(0)
    left, right = (
        torch.nn.functional.normalize(torch.randn(PROBE_ROWS, columns, generator=draw), dim=1) for _ in range(2)
    )
    exact = left[:64].double() @ right.double().T
    able = []
    for name, route in ROUTES.items():
        # this build of torch may have no such route
        with contextlib.suppress(RuntimeError, AttributeError):
            if float((route(left, right)[:64].double() - exact).abs().max()) <= TOLERANCE:
                able.append(name)
    # in turns, and the best of several: other work on the machine delays whoever is being timed
    seconds = dict.fromkeys(able, math.inf)
    for _ in range(ROUNDS):
        for name in able:
            seconds[name] = min(seconds[name], _seconds(ROUTES[name], left, right))
    return min(able, key=lambda name: seconds[name], default="torch")


def _seconds(route: Route, left: Tensor, right: Tensor) -> float:
    started = time.perf_counter()
    route(left, right)
    return time.perf_counter() - started


def shape_class(columns: int) -> int:
    """The power of two at or above the number of columns, 64 to 4,096: what a route's speed depends on most."""
    return min(max(64, 1 << (columns - 1).bit_length()), 4096)
