"""Ranks under many re-ranking temperatures at once: one pass over the scores for all normalisers, one for all ranks.

Cross and product mode order a query's gallery as similarity - c L(scale), with L the log-mean-exp of each gallery item
over the queries (`reranking.log_mean_exp`) and c 1 or 1/2. The scales of a `Grid` are chosen such that all of
exp(scale x) come from one exponential by multiplication alone, which is what makes many of them cheap.

How exact: everything is summed in float64. A power e^n carries n times the rounding error of e, but L divides it by a
scale that is n times as large, so that the error of L is the same at every scale: about 1e-16 times the range of the
scores and the number of steps over the first scale, some 1e-15 for cosines. L is then rounded to float32, subtracted in
float32 and compared, as `Temperatures` does it: a float32 matrix gets the ranks that `protocols.evaluate` gives, but
where a rounding boundary of L lies within that error. Additive mode takes its exponentials from the same powers.

With numba (the extra `fast`) the loops are compiled and run on torch's number of threads; without it, and for anything
but float32 on the CPU, PyTorch does the same in blocks of rows.
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

from raytrain.evaluation.ranking import check_owner

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


def text_ranks(scores: Tensor, item_of_text: Tensor, offsets: Tensor, compiled: bool | None = None) -> Tensor:
    """(K, M) int32 rank of each text's image by scores - offsets[k]; ties as in `ranking`.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        offsets: (K, N) for each image, in the dtype of the scores.
    """
    owner = check_owner(scores, item_of_text)
    ranks = torch.empty(len(offsets), len(scores), dtype=torch.int32)
    if _compile(scores, compiled):
        own = (scores.gather(1, owner[:, None])[:, 0] - offsets[:, owner]).T.contiguous()
        slack, floor = _bounds(offsets, own.T)
        array, place, out = scores.numpy(), owner.numpy(), np.zeros(own.shape, np.int32)
        tables = offsets.T.contiguous().numpy(), own.numpy(), slack.numpy(), floor.numpy()

        def work(part: slice) -> None:
            shift, mine, spare, bound = tables
            kernels().rank_rows(array[part], place[part], shift, mine[part], spare, bound[part], out[part])

        _share(work, _parts(len(scores), 256))
        return torch.from_numpy(out).T
    index = torch.arange(scores.shape[1])
    for part in _parts(len(scores), _block_rows(scores)):
        block, mine_at = scores[part], owner[part]
        for k, offset in enumerate(offsets):
            ranks[k, part] = _row_ranks(block - offset, mine_at, index)
    return ranks


def image_ranks(scores: Tensor, item_of_text: Tensor, offsets: Tensor, compiled: bool | None = None) -> Tensor:
    """(K, N) int32 rank of each image's best text by scores - offsets[k], -1 without a text; ties as in `ranking`.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        offsets: (K, M) for each text, in the dtype of the scores.
    """
    owner = check_owner(scores, item_of_text)
    best, place = _best_texts(scores.gather(1, owner[:, None])[:, 0] - offsets, owner, scores.shape[1])
    counts = torch.zeros(len(offsets), scores.shape[1], dtype=torch.int32)
    if _compile(scores, compiled):
        slack, floor = _bounds(offsets, best)
        array, shift = scores.numpy(), offsets.T.contiguous().numpy()
        tables = best.T.contiguous().numpy(), place.T.contiguous().int().numpy()
        spare, bound = slack.numpy(), floor.numpy()

        def work(part: slice) -> Tensor:
            here = np.zeros(tables[0].shape, np.int32)
            kernels().rank_columns(array[part], part.start, shift[part], *tables, spare[part], bound, here)
            return torch.from_numpy(here)

        counts = sum(_share(work, _parts(len(scores), -(-len(scores) // _threads()))), counts.T).T
    else:
        index = torch.arange(len(scores))
        for part in _parts(len(scores), _block_rows(scores)):
            block, rows = scores[part], index[part, None]
            for k, offset in enumerate(offsets):
                counts[k] += _above(block - offset[part, None], best[k], place[k], rows)
    return counts.masked_fill_(place < 0, -1)


def additive_ranks(
    scores: Tensor, item_of_text: Tensor, grid: Grid, log_means_of: tuple[Tensor, Tensor], beta: float
) -> tuple[Tensor, Tensor]:
    """(K, N) and (K, M) int32 ranks of both directions by scores + beta * B, B the softmax over the queries.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        grid: of K scales.
        log_means_of: (K, N) over the texts and (K, M) over the images, as `log_means` gives them; an empty one leaves
            its direction out, and its ranks are empty.
    """
    owner = check_owner(scores, item_of_text)
    texts, images = scores.shape
    over_texts, over_images = log_means_of
    found_images = torch.zeros(len(grid), images if over_images.numel() else 0, dtype=torch.int32)
    found_texts = torch.empty(len(grid), texts if over_texts.numel() else 0, dtype=torch.int32)
    index, number = torch.arange(images), torch.arange(texts)
    scales = torch.tensor(grid.scales, dtype=torch.float64)[:, None]
    best = place = torch.empty(0)
    if over_images.numel():
        own = scores.gather(1, owner[:, None])[:, 0]
        bonus = ((own.double() - over_images) * scales).exp() / images
        best, place = _best_texts(own + (beta * bonus).to(scores.dtype), owner, images)
    for part in _parts(texts, _block_rows(scores)):
        block = scores[part]
        if over_texts.numel():
            for k, bonus in _softmaxes(block.double(), over_texts[:, None], grid, texts):
                found_texts[k, part] = _row_ranks(block + (beta * bonus).to(block.dtype), owner[part], index)
        if over_images.numel():
            for k, bonus in _softmaxes(block.double(), over_images[:, part, None], grid, images):
                ranked = block + (beta * bonus).to(block.dtype)
                found_images[k] += _above(ranked, best[k], place[k], number[part, None])
    if over_images.numel():
        found_images.masked_fill_(place < 0, -1)
    return found_images, found_texts


def recall_sum(ranks: Tensor, ks: Sequence[int]) -> Tensor:
    """(K,) float64 sum of the recalls at each k, in percent, of (K, Q) ranks; -1 asks nothing."""
    answered = int((ranks[0] >= 0).sum())
    if answered == 0:
        raise ValueError(f"none of {ranks.shape[1]} queries has a positive: there is nothing to average")
    hits = torch.stack([((ranks >= 0) & (ranks < k)).sum(1) for k in ks]).double()
    return (100.0 * hits / answered).sum(0)


def has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@functools.cache
def kernels():  # type: ignore[no-untyped-def]  # a module
    from raytrain.evaluation import kernels as found

    return found


def _sums(
    scores: Tensor, row_shift: Tensor, column_shift: Tensor, grid: Grid, largest: float, compiled: bool | None
) -> tuple[Tensor, Tensor]:
    """(K, M) and (K, N) float64 sums of exp(scale (scores - shifts)) along rows and columns.

    Args:
        largest: bound of |scores - shifts|.
    """
    rows, columns = scores.shape
    if _compile(scores, compiled):
        step = grid.first / grid.steps
        halvings = max(0, math.ceil(math.log2(max(step * largest, 1e-300) / 0.35)))
        doublings = grid.steps.bit_length() - 1
        row_sums = np.zeros((len(grid), rows))
        array, shift, column = scores.numpy(), row_shift.numpy(), column_shift.numpy()
        width = -(-columns // kernels().WIDTH) * kernels().WIDTH

        def work(part: slice) -> np.ndarray:
            column_sums = np.zeros((len(grid), width))
            for some in _parts(part.stop, 500, part.start):
                kernels().add_powers(
                    array[some], shift[some], column, step, halvings, doublings, grid.steps, grid.octaves,
                    row_sums[:, some], column_sums,
                )  # fmt: skip
            return column_sums

        # as many parts as threads, a multiple of four rows each
        totals = _share(work, _parts(rows, -(-rows // (4 * _threads())) * 4))
        return torch.from_numpy(row_sums), torch.from_numpy(np.sum(totals, axis=0)[:, :columns])
    found = torch.zeros(len(grid), rows, dtype=torch.float64), torch.zeros(len(grid), columns, dtype=torch.float64)
    for part in _parts(rows, _block_rows(scores)):
        for k, power in _powers(scores[part].double() - row_shift[part, None] - column_shift, grid):
            found[0][k, part] = power.sum(1)
            found[1][k] += power.sum(0)
    return found


def _powers(exponents: Tensor, grid: Grid) -> Iterator[tuple[int, Tensor]]:
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


def _softmaxes(block: Tensor, log_mean: Tensor, grid: Grid, queries: int) -> Iterator[tuple[int, Tensor]]:
    """(k, softmax over the queries of scale_k * block) of every scale.

    Args:
        log_mean: (K, ...) that fits the block.
    """
    # the largest term of a softmax over Q queries lies less than log(Q) / scale above the mean
    shift = log_mean.amax(0)
    spread = max(float((block - shift).max()), float((shift - log_mean).max())) * max(grid.scales)
    if spread > LARGEST_EXPONENT:
        for k, scale in enumerate(grid.scales):
            yield k, ((block - log_mean[k]) * scale).exp_() / queries
        return
    for k, power in _powers(block - shift, grid):
        yield k, power * ((shift - log_mean[k]) * grid.scales[k]).exp() / queries


def _bounds(offsets: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """(G,) slack of the gallery and (Q,) floor of the queries: an item with score - slack < floor is below at every k.

    It is above at k only if score >= own[k] + offset[k]. Taking the mean offset at k from one and giving it to the
    other leaves both nearly the same at every k, and the smallest of each a close bound of their sum.

    Args:
        offsets: (K, G).
        own: (K, Q) what the query's own item has; -inf where it has none, which bounds nothing.
    """
    mean = offsets.double().mean(1, keepdim=True)
    slack, floor = (offsets.double() - mean).amin(0), (own.double() + mean).amin(0)
    floor = torch.where(floor.isfinite(), floor, torch.inf)  # a query without a positive has no rank: skip it
    # rounding of the float32 subtractions, with plenty to spare
    largest = max(float(offsets.abs().max()), float(own[own.isfinite()].abs().max()))
    return slack.float(), (floor - 1e-5 * largest).float()


def _row_ranks(ranked: Tensor, place: Tensor, index: Tensor) -> Tensor:
    own = ranked.gather(1, place[:, None])
    later = (ranked == own) & (index > place[:, None])
    return ((ranked > own) | later).sum(1, dtype=torch.int32)


def _above(ranked: Tensor, best: Tensor, place: Tensor, rows: Tensor) -> Tensor:
    return ((ranked > best) | ((ranked == best) & (rows > place))).sum(0, dtype=torch.int32)


def _best_texts(own: Tensor, owner: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """(K, N) best score of each image's own texts and the highest index that has it; -inf and -1 without a text.

    Args:
        own: (K, M) score of each text with its own image.
    """
    owners = owner.expand_as(own)
    best = own.new_full((len(own), images), -torch.inf).scatter_reduce(1, owners, own, "amax")
    row = torch.arange(own.shape[1]).expand_as(own)
    row = torch.where(own == best.gather(1, owners), row, -1)
    return best, row.new_full(best.shape, -1).scatter_reduce(1, owners, row, "amax")


def _tops(scores: Tensor) -> tuple[tuple[Tensor, Tensor], float]:
    """((N,) and (M,) float64 largest of each column and row), and the smallest of all; NaN stays."""
    return (scores.amax(0).double(), scores.amax(1).double()), float(scores.amin())


def _compile(scores: Tensor, wanted: bool | None) -> bool:
    possible = scores.dtype == torch.float32 and scores.device.type == "cpu" and has_numba()
    if wanted and not possible:
        raise ValueError("the compiled path takes float32 scores on the CPU, and needs numba: pip install '.[fast]'")
    return possible and (scores.numel() >= SMALL if wanted is None else wanted)


def _block_rows(scores: Tensor) -> int:
    return max(1, BLOCK_ELEMENTS // scores.shape[1])


def _parts(stop: int, size: int, start: int = 0) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def _threads() -> int:
    return torch.get_num_threads()


def _share(work: Callable[[slice], T], parts: Sequence[slice]) -> list[T]:
    if _threads() == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(work, parts))
