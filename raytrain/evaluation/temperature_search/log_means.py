"""Normalisers of re-ranking at many scales: log-mean-exps over the rows and columns of a matrix in one pass.

The scales of a `Grid` are such that exp(scale x) at every scale follows from one exponential by multiplication, which
makes many scales cheap. numba (the extra `fast`) compiles the loops, which run on torch's number of threads; without
it, and for anything but float32 on the CPU, PyTorch does the same in blocks of rows.

Precision: all sums are float64. A power e^n has n times the relative rounding error of e, but the log-mean-exp divides
it by a scale that is n times as large, so that its error is the same at every scale: about 1e-16 times the range of the
scores times steps / first scale, about 1e-15 for cosines.
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

LARGEST_EXPONENT = 600.0  # exp(600) times any number of terms does not overflow float64, exp(-600) does not underflow
SMALL = 2_000_000  # scores below which compiling (a second, once per machine) does not pay
BLOCK_ELEMENTS = 2**18


@dataclass(frozen=True)
class Grid:
    """A grid of scales, first * 2**octave * (1 + j / steps): `steps` of them per octave, evenly spaced.

    Args:
        first: the smallest scale.
        steps: scales per octave, a power of two.
        octaves: 1 or more; a single scale is Grid(scale).
    """

    first: float = 2.0
    steps: int = 1
    octaves: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.first < math.inf) or self.octaves < 1 or self.steps not in (2**n for n in range(8)):
            raise ValueError(f"{self}: give a first scale above 0, 1 to 128 steps (a power of two), an octave or more")

    @property
    def scales(self) -> tuple[float, ...]:
        """All scales, ascending."""
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
        over_rows, over_columns: which of the two to compute; the other is (K, 0).
        compiled: whether to use the compiled loops; None uses them where that is possible and pays.

    Raises:
        ValueError: an empty matrix, scores that are not finite, or `compiled` where it is impossible.
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
    if spread < LARGEST_EXPONENT:  # one shift for all: no sum can underflow or overflow, and one pass serves both
        shift = (largest + least_top) / 2
        below = max(abs(largest - shift), abs(low - shift))
        row_sums, column_sums = _sums(scores, rows + shift, columns, grid, below, compiled)
        shifts = columns + shift, rows + shift
    else:  # each sum has its own shift, its largest term
        below = largest - low
        row_sums = _sums(scores, tops[1], columns, grid, below, compiled)[0] if over_columns else nothing
        column_sums = _sums(scores, rows, tops[0], grid, below, compiled)[1] if over_rows else nothing
        shifts = tops
    scales = torch.tensor(grid.scales, dtype=torch.float64)[:, None]
    means = (
        shifts[0] + (column_sums / len(scores)).log() / scales if over_rows else nothing,
        shifts[1] + (row_sums / scores.shape[1]).log() / scales if over_columns else nothing,
    )
    return means


def has_numba() -> bool:
    """Whether the compiled loops can be imported."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def load_kernels():  # type: ignore[no-untyped-def]  # a module
    """The module of compiled loops."""
    from raytrain.evaluation.temperature_search import kernels

    return kernels


def _sums(
    scores: Tensor, row_shift: Tensor, column_shift: Tensor, grid: Grid, largest: float, compiled: bool | None
) -> tuple[Tensor, Tensor]:
    """(K, M) and (K, N) float64 sums of exp(scale (scores - shifts)) along rows and columns.

    Args:
        largest: bound of |scores - shifts|.
    """
    rows, columns = scores.shape
    if use_compiled(scores, compiled):
        kernels = load_kernels()
        step = grid.first / grid.steps
        halvings = max(0, math.ceil(math.log2(max(step * largest, 1e-300) / 0.35)))
        doublings = grid.steps.bit_length() - 1
        row_sums = np.zeros((len(grid), rows))
        array, shift, column = scores.numpy(), row_shift.numpy(), column_shift.numpy()
        width = -(-columns // kernels.WIDTH) * kernels.WIDTH

        def work(part: slice) -> np.ndarray:
            column_sums = np.zeros((len(grid), width))
            for block in parts_of(part.stop, 500, part.start):
                kernels.add_powers(
                    array[block], shift[block], column, step, halvings, doublings, grid.steps, grid.octaves,
                    row_sums[:, block], column_sums,
                )  # fmt: skip
            return column_sums

        # one part per thread, of a multiple of four rows
        totals = map_in_threads(work, parts_of(rows, -(-rows // (4 * threads())) * 4))
        return torch.from_numpy(row_sums), torch.from_numpy(np.sum(totals, axis=0)[:, :columns])
    sums = torch.zeros(len(grid), rows, dtype=torch.float64), torch.zeros(len(grid), columns, dtype=torch.float64)
    for part in parts_of(rows, block_rows(scores)):
        for k, power in powers_of(scores[part].double() - row_shift[part, None] - column_shift, grid):
            sums[0][k, part] = power.sum(1)
            sums[1][k] += power.sum(0)
    return sums


def powers_of(exponents: Tensor, grid: Grid) -> Iterator[tuple[int, Tensor]]:
    """(k, exp(scale_k * exponents)) per scale, by multiplication; the next step overwrites the yielded tensor."""
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
    """((N,) maxima of columns, (M,) maxima of rows), float64, and the minimum of all; they propagate NaN."""
    return (scores.amax(0).double(), scores.amax(1).double()), float(scores.amin())


def use_compiled(scores: Tensor, wanted: bool | None) -> bool:
    """Whether to use the compiled loops: `wanted`, or where possible and worth it if that is None.

    Raises:
        ValueError: wanted but impossible.
    """
    possible = scores.dtype == torch.float32 and scores.device.type == "cpu" and has_numba()
    if wanted and not possible:
        raise ValueError("the compiled path takes float32 scores on the CPU, and needs numba: pip install '.[fast]'")
    return possible and (scores.numel() >= SMALL if wanted is None else wanted)


def block_rows(scores: Tensor) -> int:
    """Number of rows per block of the PyTorch path."""
    return max(1, BLOCK_ELEMENTS // scores.shape[1])


def parts_of(stop: int, size: int, start: int = 0) -> list[slice]:
    """The range from start to stop, in slices of `size`; the last may be shorter."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def threads() -> int:
    """Number of threads of the compiled loops, which is torch's."""
    return torch.get_num_threads()


def map_in_threads(work: Callable[[slice], T], parts: Sequence[slice]) -> list[T]:
    """work(part) of every part, in order, on `threads()` threads."""
    if threads() == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(work, parts))
