"""Ranks of both directions from scores that are made a tile at a time: the (M, N) matrix never exists.

Two passes. The first makes the tiles in which a caption meets its own image, and reads the scores of the positives out
of them. The second makes every tile once and counts, for its captions and for its images together, what stands above
their best positive; tiles of the first pass are kept for it as far as memory allows. A positive's score thus comes from
the product that also gave its rivals', never from another one of another shape that rounds otherwise: equal embeddings
get equal scores. Ties, and everything else, are those of raytrain/evaluation/ranking/counts.py.

Counts over disjoint parts of texts and images add up: `own_scores`, then `Positives.of`, then `count` over some rows
and columns is what each worker of `raytrain evaluate --shards` does, and `merge` is what comes after.

Letters: M texts, N images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import DIRECTIONS, Direction

MEMORY_MIB = 64
"""What the tiles, and those kept beside them, may take: the default of `evaluation.memory_mib`."""

MOST_PAIRS = 2**19
"""Of a tile, however much memory there is: scores that are counted while the processor's cache still holds them."""

THINNEST = 128
"""Rows or columns of a tile, where there are so many and memory allows it."""

NUMBERS_PER_MIB = 2**18

Tile = Callable[[Tensor | slice, slice], Tensor]
"""Rows of texts and a slice of images -> their (m, n) scores. The same arguments give the same scores."""


@dataclass(frozen=True)
class Plan:
    """How M texts against N images are cut, and in which order texts are taken.

    Attributes:
        item_of_text: (M,) int64, the image of each text.
        rows, columns: slices that cover the texts (in the order of `order`) and the images, all nearly of one size.
        order: (M,) texts by their image; None where they stand so already.
        keep: tiles of the first pass that may be held until the second.
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
            cost: numbers held while one pair is compared.
            memory_mib: of all that is held at once.

        Raises:
            ValueError: positions that do not fit.
        """
        owner = item_of_text.to(torch.int64)
        if owner.ndim != 1 or len(owner) == 0 or items == 0:
            raise ValueError(f"item_of_text is {tuple(owner.shape)} for {items} images; give (M,), neither empty")
        if int(owner.min()) < 0 or int(owner.max()) >= items:
            raise ValueError(
                f"item_of_text runs from {int(owner.min())} to {int(owner.max())}; there are {items} images"
            )
        rows, columns = cut(len(owner), items, cost, memory_mib)
        pairs = rows[0].stop * columns[0].stop
        order = None if bool((owner.diff() >= 0).all()) else owner.argsort(stable=True)
        return cls(owner, rows, columns, order, int(memory_mib * NUMBERS_PER_MIB) // (2 * pairs))

    def texts(self, rows: slice) -> Tensor | slice:
        """Which texts a slice of rows means."""
        return rows if self.order is None else self.order[rows]

    def met(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """(P,) texts of these rows whose image is among the columns, and (P,) their places among the rows."""
        texts = torch.arange(rows.start, rows.stop) if self.order is None else self.order[rows]
        owner = self.item_of_text[texts]
        inside = ((owner >= columns.start) & (owner < columns.stop)).nonzero()[:, 0]
        return texts[inside], inside


def cut(
    texts: int, items: int, cost: int = 1, memory_mib: float = MEMORY_MIB, most: int = MOST_PAIRS
) -> tuple[list[slice], list[slice]]:
    """Slices of texts and of images, such that a tile of both fits the budget, and has at most so many pairs.

    Tiles have the proportions of the matrix, as far as none gets thin: of as many slices either way, the positives,
    which stand along its diagonal, meet the fewest tiles. Sizes differ by one at most: products of like shape round
    alike, and none is of a single row beside long ones.
    """
    # half of the budget is for tiles that are held; a pair has its score and comparisons beside the method's numbers
    pairs = min(most, max(1, int(memory_mib * NUMBERS_PER_MIB) // (2 * (cost + 2))))
    thin = min(THINNEST, math.isqrt(pairs))
    rows = min(texts, max(thin, min(math.isqrt(pairs * texts // items), pairs // min(thin, items))))
    columns = min(items, pairs // rows)
    return slices(0, texts, min(texts, pairs // columns)), slices(0, items, columns)


def slices(first: int, last: int, size: int) -> list[slice]:
    """first to last in as few parts of at most `size` as there can be, whose sizes differ by one at most."""
    number = last - first
    parts = -(-number // size)
    return [slice(first + number * n // parts, first + number * (n + 1) // parts) for n in range(parts)]


@dataclass
class Scores:
    """The tiles of a plan, made by `tile`; a few of them held."""

    tile: Tile
    plan: Plan
    held: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def make(self, rows: slice, columns: slice, hold: bool = False) -> Tensor:
        """(m, n) scores of one tile.

        Raises:
            ValueError: NaN among them.
        """
        key = rows.start, columns.start
        if key in self.held:
            return self.held.pop(key)
        scores = self.tile(self.plan.texts(rows), columns)
        # NaN passes through a sum, which is far quicker than asking each score
        if not bool(scores.sum().isfinite()) and bool(scores.isnan().any()):
            raise ValueError(
                f"similarity holds NaN ({int(scores.isnan().sum())} in the first tile that has any): it has no rank. "
                "Look for an embedding of norm zero, or a model that diverged."
            )
        if hold and len(self.held) < self.plan.keep:
            self.held[key] = scores
        return scores


@dataclass(frozen=True)
class Positives:
    """Scores of the positives, which everything else is compared with.

    Attributes:
        own: (M,) score of each text with its image.
        best: (N,) the best of each image's own; -inf where it has no text.
        place: (N,) the highest text among those that have it; -1 where there is none.
    """

    own: Tensor
    best: Tensor
    place: Tensor

    @classmethod
    def of(cls, own: Tensor, item_of_text: Tensor, items: int) -> Positives:
        """From the scores of all texts with their images."""
        owner = item_of_text.to(own.device, torch.int64)
        best = own.new_full((items,), -torch.inf).scatter_reduce(0, owner, own, "amax")
        leads = own == best[owner]
        text = torch.arange(len(own), device=own.device)
        place = text.new_full((items,), -1).scatter_reduce(0, owner[leads], text[leads], "amax")
        return cls(own, best, place)


def own_scores(scores: Scores, columns: Sequence[slice] | None = None, rows: Sequence[slice] | None = None) -> Tensor:
    """(M,) score of each text with its image, where both are among the rows and columns; NaN elsewhere. Pass one."""
    plan = scores.plan
    own: Tensor | None = None
    for some in plan.columns if columns is None else columns:
        for part in plan.rows if rows is None else rows:
            texts, inside = plan.met(part, some)
            if len(texts) == 0:
                continue
            tile = scores.make(part, some, hold=True)
            if own is None:
                own = tile.new_full((len(plan.item_of_text),), torch.nan)
            texts, inside = texts.to(tile.device), inside.to(tile.device)
            owner = plan.item_of_text.to(tile.device)[texts]
            own[texts] = tile[inside, owner - some.start]
    return torch.full((len(plan.item_of_text),), torch.nan) if own is None else own


def count(
    scores: Scores,
    positives: Positives,
    columns: Sequence[slice] | None = None,
    rows: Sequence[slice] | None = None,
    keep: Tensor | None = None,
) -> dict[Direction, Counts]:
    """The second pass over these rows and columns: counts of all M texts and all N images, 0 outside of them.

    Args:
        scores: tiles; those of the first pass may be held by it.
        positives: of all texts and images.
        columns, rows: a part of the plan's; default all.
        keep: (M, N) that the scores are written to, for who needs the whole matrix too.
    """
    plan, own = scores.plan, positives.own
    device = own.device
    owner, items = plan.item_of_text.to(device), len(positives.best)
    found: dict[Direction, Counts] = {
        "i2t": Counts(*torch.zeros(3, items, dtype=torch.int64, device=device)),
        "t2i": Counts(*torch.zeros(3, len(own), dtype=torch.int64, device=device)),
    }
    leads = own == positives.best[owner]
    for some in plan.columns if columns is None else columns:
        image = torch.arange(some.start, some.stop, device=device)
        for part in plan.rows if rows is None else rows:
            tile = scores.make(part, some)
            met, inside = (each.to(device) for each in plan.met(part, some))
            # a tile that was made again is of the same numbers as before, or nearly: the positive's stays what it was
            tile[inside, owner[met] - some.start] = own[met]
            texts = torch.arange(part.start, part.stop, device=device)
            texts = texts if plan.order is None else plan.order.to(device)[texts]
            if keep is not None:
                keep[texts.to(keep.device), some] = tile.to(keep.device)
            _count_rows(tile, own[texts], owner[texts], image, inside, texts, found["t2i"])
            best, place = positives.best[some], positives.place[some]
            own_best = torch.bincount(owner[met][leads[met]] - some.start, minlength=len(image))
            _count_columns(tile, best, place, texts, own_best, some, found["i2t"])
    return found


def _count_rows(
    tile: Tensor, own: Tensor, owner: Tensor, image: Tensor, inside: Tensor, texts: Tensor, into: Counts
) -> None:
    """Adds what stands around each text's image in the tile."""
    better = _count(tile > own[:, None], 1)
    tied = _count(tile >= own[:, None], 1) - better
    tied[inside] -= 1  # a text's image ties with itself
    into.better[texts] += better
    into.tied[texts] += tied
    some = tied.nonzero()[:, 0]  # most tiles have no ties: look closer only where there are some
    if len(some):
        above = (tile[some] == own[some, None]) & (image > owner[some, None])
        into.tied_above[texts[some]] += _count(above, 1)


def _count_columns(
    tile: Tensor, best: Tensor, place: Tensor, texts: Tensor, own_best: Tensor, columns: slice, into: Counts
) -> None:
    """Adds what stands around each image's best text in the tile."""
    better = _count(tile > best, 0)
    tied = _count(tile >= best, 0) - better - own_best
    into.better[columns] += better
    into.tied[columns] += tied
    some = tied.nonzero()[:, 0]
    if len(some):
        above = (tile[:, some] == best[some]) & (texts[:, None] > place[some])
        into.tied_above[columns.start + some] += _count(above, 0)


def _count(yes: Tensor, dim: int) -> Tensor:
    return yes.sum(dim, dtype=torch.int32).long()


def total(parts: Sequence[Mapping[Direction, Counts]]) -> dict[Direction, Counts]:
    """The sum of counts over disjoint parts."""
    return {
        way: Counts(*(torch.stack(each).sum(0) for each in zip(*(part[way] for part in parts), strict=True)))
        for way in DIRECTIONS
    }


def merge(parts: Sequence[Mapping[Direction, Counts]], positives: Positives) -> dict[Direction, Counts]:
    """The counts over everything, from those over its parts; -1 for an image without a text."""
    found, empty = total(parts), positives.place < 0
    return {"i2t": Counts(*(each.masked_fill(empty, -1) for each in found["i2t"])), "t2i": found["t2i"]}


def stream_counts(
    tile: Tile,
    item_of_text: Tensor,
    items: int,
    cost: int = 1,
    memory_mib: float = MEMORY_MIB,
    keep: Tensor | None = None,
) -> dict[Direction, Counts]:
    """Counts of both directions, those of `image_to_text_counts` and `text_to_image_counts` on the same scores.

    Args:
        tile: makes the scores.
        item_of_text: (M,) position of the image that each text belongs to.
        items: N.
        cost: numbers held while one pair is compared.
        memory_mib: of all that is held at once.
        keep: (M, N) that the scores are written to; None, and they are forgotten.

    Raises:
        ValueError: positions that do not fit, or NaN among the scores.
    """
    scores = Scores(tile, Plan.of(item_of_text, items, cost, memory_mib))
    positives = Positives.of(own_scores(scores), item_of_text, items)
    return merge([count(scores, positives, keep=keep)], positives)
