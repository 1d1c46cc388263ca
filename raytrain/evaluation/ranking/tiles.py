"""How a matrix of scores is cut into tiles that fit the memory: streaming.py computes one at a time.

Letters: M texts, N images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY_MIB = 64
"""Memory for the tiles and for those kept between the passes: the default of `evaluation.memory_mib`."""

MOST_PAIRS = 2**19
"""Most pairs per tile, whatever the memory: the counting then finds the scores in the processor's cache."""

THINNEST = 128
"""Least rows or columns of a tile, where the matrix has so many and memory allows it."""

MULTIPLE = 16
"""Products are slower by a third on some processors where their columns are no multiple of 8."""

NUMBERS_PER_MIB = 2**18
"""float32 numbers per MiB."""


@dataclass(frozen=True)
class Plan:
    """How the matrix of M texts against N images is cut into tiles, and the order of the texts.

    Attributes:
        item_of_text: (M,) int64, the image of each text.
        rows, columns: slices that cover the texts (in the order of `order`) and the images, all of nearly one size.
        order: (M,) texts sorted by their image; None where they are sorted already.
        keep: number of tiles of the first pass that may be held until the second.
    """

    item_of_text: Tensor
    rows: Sequence[slice]
    columns: Sequence[slice]
    order: Tensor | None = None
    keep: int = 0

    @classmethod
    def of(cls, item_of_text: Tensor, items: int, cost: int = 1, memory_mib: float = MEMORY_MIB) -> Plan:
        """Tiles that fit a budget.

        Args:
            item_of_text: (M,) position of the image that each text belongs to.
            items: N.
            cost: numbers in memory per pair that is compared.
            memory_mib: budget of everything in memory at once, in MiB.

        Raises:
            ValueError: positions that do not fit.
        """
        owner = item_of_text.to(torch.int64)
        if owner.ndim != 1 or len(owner) == 0 or items == 0:
            raise ValueError(
                f"item_of_text has shape {tuple(owner.shape)} for {items} images; give (M,), neither empty"
            )
        if int(owner.min()) < 0 or int(owner.max()) >= items:
            raise ValueError(
                f"item_of_text runs from {int(owner.min())} to {int(owner.max())}; there are {items} images"
            )
        rows, columns = cut(len(owner), items, cost, memory_mib)
        pairs = rows[0].stop * columns[0].stop
        order = None if bool((owner.diff() >= 0).all()) else owner.argsort(stable=True)
        return cls(owner, rows, columns, order, int(memory_mib * NUMBERS_PER_MIB) // (2 * pairs))

    def texts(self, rows: slice) -> Tensor | slice:
        """The texts of a slice of rows."""
        return rows if self.order is None else self.order[rows]

    def own_pairs(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """(P,) texts of these rows whose image is among the columns, and (P,) their positions among the rows."""
        texts = torch.arange(rows.start, rows.stop) if self.order is None else self.order[rows]
        owner = self.item_of_text[texts]
        inside = ((owner >= columns.start) & (owner < columns.stop)).nonzero()[:, 0]
        return texts[inside], inside


def cut(
    texts: int, items: int, cost: int = 1, memory_mib: float = MEMORY_MIB, most: int = MOST_PAIRS
) -> tuple[list[slice], list[slice]]:
    """Slices of texts and of images, such that a tile of both fits the budget and has at most `most` pairs.

    Tiles have the proportions of the matrix, unless they would become thin: with as many slices of texts as of images,
    the positives, which lie along the diagonal, fall into the fewest tiles. Sizes are nearly equal: products of similar
    shape round alike, and no tile has a single row beside long ones.

    Args:
        texts: M.
        items: N.
        cost: numbers in memory per pair that is compared.
        memory_mib: budget of everything in memory at once, in MiB.
        most: pairs per tile.
    """
    # half of the budget is for tiles that are kept; a pair takes its score and comparisons beside the method's numbers
    pairs = min(most, max(1, int(memory_mib * NUMBERS_PER_MIB) // (2 * (cost + 2))))
    thin = min(THINNEST, math.isqrt(pairs))
    rows = min(texts, max(thin, min(math.isqrt(pairs * texts // items), pairs // min(thin, items))))
    columns = min(items, pairs // rows)
    return slices(0, texts, min(texts, pairs // columns)), slices(0, items, columns)


def slices(first: int, last: int, size: int) -> list[slice]:
    """The range from first to last in the fewest parts of at most `size`, of nearly the same size.

    From THINNEST on, sizes are multiples of MULTIPLE, but for the last part's; smaller ones differ by at most one.
    """
    number, unit = last - first, MULTIPLE if size >= THINNEST else 1
    units = -(-number // unit)
    parts = -(-units // (size // unit))
    ends = [first + min(number, unit * (units * n // parts)) for n in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]
