"""Normalisers of re-ranking at many scales: log-mean-exps over the rows and columns of a matrix in one pass.

The scales of a `Grid` are chosen such that all of exp(scale x) come from one exponential by multiplication alone, which
is what makes many of them cheap. Compiled with numba (the extra `fast`), on torch's number of threads; without it, and
for anything but float32 on the CPU, PyTorch does the same in blocks of rows.

How exact: everything is summed in float64. A power e^n carries n times the rounding error of e, but L divides it by a
scale that is n times as large, so that the error of L is the same at every scale: about 1e-16 times the range of the
scores and the number of steps over the first scale, some 1e-15 for cosines.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

LARGEST_EXPONENT = 600.0  # exp of it, times any number of terms, is a float64 number; and so is 1 over it
SMALL = 2_000_000  # scores below which compiling (a second, once on a machine) is not worth it
BLOCK_ELEMENTS = 2**18


@dataclass(frozen=True)
class Grid:
    """Scales first * 2**octave * (1 + j / steps): `steps` of them in each of the octaves, evenly between its ends.

    Args:
        first: the smallest scale.
        steps: a power of two.
        octaves: at least 1; a single scale is Grid(scale).
    """

    first: float = 2.0
    steps: int = 1
    octaves: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.first < math.inf) or self.octaves < 1 or self.steps not in (2**n for n in range(8)):
            raise ValueError(f"{self}: give a first scale above 0, 1 to 128 steps (a power of two), an octave or more")

    @property
    def scales(self) -> tuple[float, ...]:
        return tuple(
            self.first * 2**octave * (1 + j / self.steps) for octave in range(self.octaves) for j in range(self.steps)
        )

    def __len__(self) -> int:
        return self.steps * self.octaves


def log_means(
    scores: Tensor, grid: Grid, over_rows: bool = True, over_columns: bool = True, compiled: bool | None = None
) -> tuple[Tensor, Tensor]:
    """(K, N) and (K, M) float64: log(mean(exp(scale_k * scores))) / scale_k over the rows, and over the columns.

    Args:
        scores: (M, N), finite.
        grid: of K scales.
        over_rows, over_columns: which of the two are wanted; the other is empty.
        compiled: whether by numba; None where that is possible and worth it.

    Raises:
        ValueError: an empty matrix, or scores that are not finite.
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores have shape {tuple(scores.shape)}; give (M, N), none empty")
    tops, low = _tops(scores)
    largest = float(max(tops[0].max(), tops[1].max()))
    if not math.isfinite(largest - low):
        raise ValueError("similarity holds NaN or infinity; such scores have no temperature")
    least_top = float(min(tops[0].min(), tops[1].min()))
    rows, columns = torch.zeros(len(scores), dtype=torch.float64), torch.zeros(scores.shape[1], dtype=torch.float64)
    spread = (largest - least_top) / 2 * max(grid.scales)
    nothing = torch.empty(len(grid), 0, dtype=torch.float64)
    if spread < LARGEST_EXPONENT:  # one shift for all: no sum can vanish or overflow, and one pass serves both
        shift = (largest + least_top) / 2
        below = max(abs(largest - shift), abs(low - shift))
        row_sums, column_sums = _sums(scores, rows + shift, columns, grid, below, compiled)
        shifts = columns + shift, rows + shift
    else:  # each sum has a shift of its own, its largest term
        below = largest - low
        row_sums = _sums(scores, tops[1], columns, grid, below, compiled)[0] if over_columns else nothing
        column_sums = _sums(scores, rows, tops[0], grid, below, compiled)[1] if over_rows else nothing
        shifts = tops
    scales = torch.tensor(grid.scales, dtype=torch.float64)[:, None]
    found = (
        shifts[0] + (column_sums / len(scores)).log() / scales if over_rows else nothing,
        shifts[1] + (row_sums / scores.shape[1]).log() / scales if over_columns else nothing,
    )
    return found


def has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@functools.cache
def kernels():  # type: ignore[no-untyped-def]  # a module
    from raytrain.evaluation.temperature_search import kernels as found

    return found


def _sums(
    scores: Tensor, row_shift: Tensor, column_shift: Tensor, grid: Grid, largest: float, compiled: bool | None
) -> tuple[Tensor, Tensor]:
    """(K, M) and (K, N) float64 sums of exp(scale (scores - shifts)) along rows and columns.

    Args:
        largest: bound of |scores - shifts|.
    """
    rows, columns = scores.shape
    if compiles(scores, compiled):
        step = grid.first / grid.steps
        halvings = max(0, math.ceil(math.log2(max(step * largest, 1e-300) / 0.35)))
        doublings = grid.steps.bit_length() - 1
        row_sums = np.zeros((len(grid), rows))
        array, shift, column = scores.numpy(), row_shift.numpy(), column_shift.numpy()
        width = -(-columns // kernels().WIDTH) * kernels().WIDTH

        def work(part: slice) -> np.ndarray:
            column_sums = np.zeros((len(grid), width))
            for some in parts_of(part.stop, 500, part.start):
                kernels().add_powers(
                    array[some], shift[some], column, step, halvings, doublings, grid.steps, grid.octaves,
                    row_sums[:, some], column_sums,
                )  # fmt: skip
            return column_sums

        # as many parts as threads, a multiple of four rows each
        totals = share(work, parts_of(rows, -(-rows // (4 * threads())) * 4))
        return torch.from_numpy(row_sums), torch.from_numpy(np.sum(totals, axis=0)[:, :columns])
    found = torch.zeros(len(grid), rows, dtype=torch.float64), torch.zeros(len(grid), columns, dtype=torch.float64)
    for part in parts_of(rows, block_rows(scores)):
        for k, power in powers_of(scores[part].double() - row_shift[part, None] - column_shift, grid):
            found[0][k, part] = power.sum(1)
            found[1][k] += power.sum(0)
    return found


def powers_of(exponents: Tensor, grid: Grid) -> Iterator[tuple[int, Tensor]]:
    """(k, exp(scale_k * exponents)) of every scale, by multiplication; each is overwritten after the next."""
    base = (exponents * (grid.first / grid.steps)).exp_()
    power = base**grid.steps
    powers = [power]
    for _ in range(1, grid.steps):
        power = power * base
        powers.append(power)
    for octave in range(grid.octaves):
        for j, power in enumerate(powers):
            yield octave * grid.steps + j, power
            power.mul_(power)


def _tops(scores: Tensor) -> tuple[tuple[Tensor, Tensor], float]:
    """((N,) and (M,) float64 largest of each column and row), and the smallest of all; NaN stays."""
    return (scores.amax(0).double(), scores.amax(1).double()), float(scores.amin())


def compiles(scores: Tensor, wanted: bool | None) -> bool:
    possible = scores.dtype == torch.float32 and scores.device.type == "cpu" and has_numba()
    if wanted and not possible:
        raise ValueError("the compiled path takes float32 scores on the CPU, and needs numba: pip install '.[fast]'")
    return possible and (scores.numel() >= SMALL if wanted is None else wanted)


def block_rows(scores: Tensor) -> int:
    return max(1, BLOCK_ELEMENTS // scores.shape[1])


def parts_of(stop: int, size: int, start: int = 0) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def threads() -> int:
    return torch.get_num_threads()


def share(work: Callable[[slice], T], parts: Sequence[slice]) -> list[T]:
    if threads() == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(work, parts))
