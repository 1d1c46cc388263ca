"""Normalisers of re-ranking at many scales: log-mean-exps over the rows and columns of a matrix in one pass.

The scales of a `Grid` are such that exp(scale x) at every scale follows from one exponential by multiplication, which
makes many scales cheap. numba (the extra `fast`) compiles the loops, which run on torch's number of threads; without
it, and for anything but float32 on the CPU, PyTorch does the same in blocks of rows.

The largest term of each sum is kept apart, and the sum of the others is added up without it: where it is nearly all of
the sum, the difference of the two sums would have no digits left (`reranking.normaliser`).

Precision: all sums are float64. A power e^n has n times the relative rounding error of e, but the log-mean-exp divides
it by a scale that is n times as large, so that its error is the same at every scale: about 1e-16 times the range of the
scores times steps / first scale, about 1e-15 for cosines. Log-mean-exps are then rounded to 2^-40 of the largest score:
equal gallery items, whose terms may be added up in different order, get equal normalisers and tie.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from raytrain.errors import pip_install
from raytrain.evaluation.reranking.normaliser import offset_of_best

T = TypeVar("T")

LARGEST_EXPONENT = 600.0  # exp(600) times any number of terms does not overflow float64, exp(-600) does not underflow
SMALL = 2_000_000  # scores below which compiling (a second, once per machine) does not pay
BLOCK_ELEMENTS = 2**18
DIGITS = 2.0**-40  # of the largest score: what is kept of a log-mean-exp, so that equal items stay equal
LEAST_SUM = 1e-280  # sums below have lost digits to underflow


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


class LogMeans(NamedTuple):
    """Normalisers of G gallery items over their Q queries at K scales.

    mean: (K, G) float64 log(mean(exp(scale_k * scores))) / scale_k.
    best: (G,) int64 query with the highest score; -1 where there is no other.
    best_offset: (K, G) float64 what cross mode subtracts from that query's score (`reranking.normaliser`).
    """

    mean: Tensor
    best: Tensor
    best_offset: Tensor


def log_means(
    scores: Tensor, grid: Grid, over_rows: bool = True, over_columns: bool = True, compiled: bool | None = None
) -> tuple[LogMeans, LogMeans]:
    """Log-mean-exps of the N columns over the rows, and of the M rows over the columns.

    Args:
        scores: (M, N), finite.
        grid: of K scales.
        over_rows, over_columns: which of the two to compute; the other is empty.
        compiled: whether to use the compiled loops; None uses them where that is possible and pays.

    Raises:
        ValueError: an empty matrix, scores that are not finite, or `compiled` where it is impossible.
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores have shape {tuple(scores.shape)}; give (M, N), none empty")
    tops, low = (_tops(scores, 0), _tops(scores, 1)), float(scores.amin())
    largest = float(max(top.max() for top, _ in tops))
    if not math.isfinite(largest - low):
        raise ValueError("similarity holds NaN or infinity; such scores have no temperature")
    least_top = float(min(top.min() for top, _ in tops))
    rows, columns = torch.zeros(len(scores), dtype=torch.float64), torch.zeros(scores.shape[1], dtype=torch.float64)
    spread = (largest - least_top) / 2 * max(grid.scales)
    left_out = tops[1][1], tops[0][1]
    nothing = torch.empty(len(grid), 0, dtype=torch.float64)
    if spread < LARGEST_EXPONENT:  # one shift for all: no sum can underflow or overflow, and one pass serves both
        shift = (largest + least_top) / 2
        below = max(abs(largest - shift), abs(low - shift))
        row_sums, column_sums = _sums(scores, (rows + shift, columns), left_out, grid, below, compiled)
        shifts = columns + shift, rows + shift
    else:  # each sum has its own shift, its largest term
        below, (column_top, row_top) = largest - low, (tops[0][0], tops[1][0])
        row_sums = _sums(scores, (row_top, columns), left_out, grid, below, compiled)[0] if over_columns else nothing
        column_sums = _sums(scores, (rows, column_top), left_out, grid, below, compiled)[1] if over_rows else nothing
        shifts = column_top, row_top
    empty = LogMeans(nothing, left_out[0][:0], nothing)
    return (
        _finished(scores, column_sums, shifts[0], left_out, grid) if over_rows else empty,
        _finished(scores.T, row_sums, shifts[1], left_out[::-1], grid) if over_columns else empty,
    )


def _finished(scores: Tensor, sums: Tensor, shift: Tensor, left_out: tuple[Tensor, Tensor], grid: Grid) -> LogMeans:
    """The log-mean-exps of the N columns of (M, N) scores, from (K, N) sums without the entries that were left out.

    Args:
        shift: (N,) of the sums.
        left_out: (M,) column of each row's best entry, and (N,) row of each column's best entry; no sum holds either.
    """
    of_row, best = left_out
    scales = torch.tensor(grid.scales, dtype=torch.float64)[:, None]
    index = torch.arange(scores.shape[1])
    top = scores[best, index].double()
    if len(scores) == 1:
        mean = top.expand(len(grid), -1)
        return LogMeans(mean, torch.full_like(best, -1), mean)
    rows = (best[of_row] != torch.arange(len(scores))).nonzero()[:, 0]  # left out for their row's sake alone
    terms = ((scores[rows, of_row[rows]].double() - shift[of_row[rows]]) * scales).exp_()
    rest = sums.index_add(1, of_row[rows], terms)
    log_rest = rest.log() / scales
    faint = (rest < LEAST_SUM).any(0).nonzero()[:, 0]
    for some in torch.split(faint, 256):  # the second largest term is all that float64 would see of the others
        second = scores[:, some].topk(2, 0).values[1].double() - shift[some]
        log_rest[:, some] = torch.where(rest[:, some] < LEAST_SUM, second, log_rest[:, some])
    number = math.log(len(scores)) / scales
    mean = shift + (rest + ((top - shift) * scales).exp()).log() / scales - number
    offset = offset_of_best(top, mean, shift + log_rest - number, scales, len(scores))
    step = DIGITS * 2.0 ** math.ceil(math.log2(max(float(top.abs().max()), float(mean.abs().max()), 1e-300)))
    return LogMeans((mean / step).round_() * step, best, (offset / step).round_() * step)


def has_numba() -> bool:
    """Whether the compiled loops can be imported."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def load_kernels():  # type: ignore[no-untyped-def]  # a module
    """The module of compiled loops."""
    from raytrain.evaluation.temperature_search import kernels

    return kernels


def _sums(
    scores: Tensor,
    shifts: tuple[Tensor, Tensor],
    left_out: tuple[Tensor, Tensor],
    grid: Grid,
    largest: float,
    compiled: bool | None,
) -> tuple[Tensor, Tensor]:
    """(K, M) and (K, N) float64 sums of exp(scale (scores - shifts)) along rows and columns.

    Args:
        shifts: (M,) of the rows and (N,) of the columns.
        left_out: (M,) column of an entry of each row, and (N,) row of an entry of each column, which no sum contains.
        largest: bound of |scores - shifts|.
    """
    (rows, columns), (row_shift, column_shift), (row_skip, column_skip) = scores.shape, shifts, left_out
    if use_compiled(scores, compiled):
        kernels = load_kernels()
        step = grid.first / grid.steps
        halvings = max(0, math.ceil(math.log2(max(step * largest, 1e-300) / 0.35)))
        doublings = grid.steps.bit_length() - 1
        row_sums = np.zeros((len(grid), rows))
        array, shift, column = scores.numpy(), row_shift.numpy(), column_shift.numpy()
        skipped, skipped_rows = row_skip.numpy(), column_skip.numpy()
        width = -(-columns // kernels.WIDTH) * kernels.WIDTH

        def work(part: slice) -> np.ndarray:
            column_sums = np.zeros((len(grid), width))
            for block in parts_of(part.stop, 500, part.start):
                kernels.add_powers(
                    array[block], shift[block], column, skipped[block], skipped_rows - block.start,
                    step, halvings, doublings, grid.steps, grid.octaves, row_sums[:, block], column_sums,
                )  # fmt: skip
            return column_sums

        # one part per thread, of a multiple of four rows
        totals = map_in_threads(work, parts_of(rows, -(-rows // (4 * threads())) * 4))
        return torch.from_numpy(row_sums), torch.from_numpy(np.sum(totals, axis=0)[:, :columns])
    sums = torch.zeros(len(grid), rows, dtype=torch.float64), torch.zeros(len(grid), columns, dtype=torch.float64)
    number, index = torch.arange(rows), torch.arange(columns)
    for part in parts_of(rows, block_rows(scores)):
        exponents = scores[part].double() - row_shift[part, None] - column_shift
        exponents[number[: len(exponents)], row_skip[part]] = -torch.inf
        inside = (column_skip >= part.start) & (column_skip < part.stop)
        exponents[column_skip[inside] - part.start, index[inside]] = -torch.inf
        for k, power in powers_of(exponents, grid):
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


def _tops(scores: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(G,) float64 maxima along a dimension, which propagate NaN, and (G,) int64 where they are."""
    values, places = scores.max(dim)
    return values.double(), places


def use_compiled(scores: Tensor, wanted: bool | None) -> bool:
    """Whether to use the compiled loops: `wanted`, or where possible and worth it if that is None.

    Raises:
        ValueError: wanted but impossible.
    """
    possible = scores.dtype == torch.float32 and scores.device.type == "cpu" and has_numba()
    if wanted and not possible:
        raise ValueError(f"the compiled path takes float32 scores on the CPU, and needs numba: {pip_install('fast')}")
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
