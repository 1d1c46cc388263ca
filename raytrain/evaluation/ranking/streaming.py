"""Ranks of both directions from scores computed tile by tile: the (M, N) matrix never exists.

Two passes. The first computes the tiles that hold a caption with its own image, and reads the scores of the positives.
The second computes every tile once and counts, for its captions and its images together, the items above their best
positive; tiles of the first pass are kept for it as far as memory allows. The score of a positive and the scores of its
rivals thus come from the same matrix product: products of different shapes may round differently, while equal
embeddings must get equal scores. Ties and ranks are defined as in raytrain/evaluation/ranking/counts.py.

Counts over disjoint parts of texts and images add up. Each worker of `raytrain evaluate --shards` calls `own_scores`,
`Positives.of`, then `count` over some rows and columns; `merge` adds up the results.

Letters: M texts, N images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.precision import refuse_half
from raytrain.evaluation.ranking.recall import DIRECTIONS, Direction
from raytrain.evaluation.ranking.tiles import MEMORY_MIB, Plan
from raytrain.similarity.installed import module_with_numba
from raytrain.similarity.upload import upload

COMPILED_FROM = 2**22
"""Pairs of a matrix from which on compiled loops count them where numba is installed: importing it takes a second."""

Tile = Callable[[Tensor | slice, slice], Tensor]
"""(positions of m texts, slice of n images) -> their (m, n) scores. Equal arguments should give equal scores."""


@dataclass
class Scores:
    """The tiles of a plan, computed by `tile`; some of the first pass are held for the second.

    Attributes:
        refused: whether `tile` itself refuses numbers that are not finite: a look at a tile is a wait for a GPU.
    """

    tile: Tile
    plan: Plan
    refused: bool = False
    held: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def make(self, rows: slice, columns: slice, hold: bool = False) -> Tensor:
        """(m, n) scores of one tile: the held one, which is then released, or a new one.

        Args:
            rows, columns: of the plan.
            hold: keep the tile for the next call, if the plan allows another one.

        Raises:
            ValueError: NaN among them, or half precision.
        """
        key = rows.start, columns.start
        if key in self.held:
            return self.held.pop(key)
        scores = self.tile(self.plan.texts(rows), columns)
        refuse_half(scores)
        # a sum propagates NaN, and is far faster than a check of every score
        if not self.refused and not bool(scores.sum().isfinite()) and bool(scores.isnan().any()):
            raise ValueError(
                f"similarity holds NaN ({int(scores.isnan().sum())} in the first tile that has any): it has no rank. "
                "Look for an embedding of norm zero, or a model that diverged."
            )
        if hold and len(self.held) < self.plan.keep:
            self.held[key] = scores
        return scores


@dataclass(frozen=True)
class Positives:
    """Scores of the positives, with which all other scores are compared.

    Attributes:
        own: (M,) score of each text with its image.
        best: (N,) best score of each image with its own texts; -inf where it has none.
        place: (N,) highest position of an own text with that score; -1 where an image has no text.
    """

    own: Tensor
    best: Tensor
    place: Tensor

    @classmethod
    def of(cls, own: Tensor, item_of_text: Tensor, items: int) -> Positives:
        """The positives, from the (M,) scores of all texts with their images."""
        owner = item_of_text.to(own.device, torch.int64)
        best = own.new_full((items,), -torch.inf).scatter_reduce(0, owner, own, "amax")
        leads = own == best[owner]
        text = torch.arange(len(own), device=own.device)
        place = text.new_full((items,), -1).scatter_reduce(0, owner[leads], text[leads], "amax")
        return cls(own, best, place)


def own_scores(scores: Scores, columns: Sequence[slice] | None = None, rows: Sequence[slice] | None = None) -> Tensor:
    """First pass: (M,) score of each text with its image, where both are among the rows and columns; NaN elsewhere."""
    plan = scores.plan
    own: Tensor | None = None
    for tile_columns in plan.columns if columns is None else columns:
        for tile_rows in plan.rows if rows is None else rows:
            texts, inside = plan.own_pairs(tile_rows, tile_columns)
            if len(texts) == 0:
                continue
            tile = scores.make(tile_rows, tile_columns, hold=True)
            if own is None:
                own = tile.new_full((len(plan.item_of_text),), torch.nan)
            owner = upload(plan.item_of_text[texts], tile.device)
            texts, inside = upload(texts, tile.device), upload(inside, tile.device)
            own[texts] = tile[inside, owner - tile_columns.start]
    return torch.full((len(plan.item_of_text),), torch.nan) if own is None else own


def count(
    scores: Scores,
    positives: Positives,
    columns: Sequence[slice] | None = None,
    rows: Sequence[slice] | None = None,
    keep: Tensor | None = None,
) -> dict[Direction, Counts]:
    """Second pass over these rows and columns: counts of all M texts and all N images; 0 for texts and images outside.

    Args:
        scores: the tiles; it may hold some of the first pass.
        positives: of all texts and images.
        columns, rows: some of the plan's; None takes all.
        keep: (M, N) matrix to write the scores to, for callers that need them all; None drops them.
    """
    plan, own = scores.plan, positives.own
    device = own.device
    owner, items = upload(plan.item_of_text, device), len(positives.best)
    order = None if plan.order is None else upload(plan.order, device)
    counts: dict[Direction, Counts] = {
        "i2t": Counts(*torch.zeros(3, items, dtype=torch.int64, device=device)),
        "t2i": Counts(*torch.zeros(3, len(own), dtype=torch.int64, device=device)),
    }
    leads = own == positives.best[owner]
    for tile_columns in plan.columns if columns is None else columns:
        image = torch.arange(tile_columns.start, tile_columns.stop, device=device)
        for tile_rows in plan.rows if rows is None else rows:
            tile = scores.make(tile_rows, tile_columns)
            paired, inside = (upload(positions, device) for positions in plan.own_pairs(tile_rows, tile_columns))
            # a tile that is computed again may differ in its last digits: the positives keep their first scores
            tile[inside, owner[paired] - tile_columns.start] = own[paired]
            texts = torch.arange(tile_rows.start, tile_rows.stop, device=device)
            texts = texts if order is None else order[texts]
            if keep is not None:
                keep[texts.to(keep.device), tile_columns] = tile.to(keep.device)
            best, place = positives.best[tile_columns], positives.place[tile_columns]
            own_best = torch.zeros_like(image).index_add_(0, owner[paired] - tile_columns.start, leads[paired].long())
            around = _around(tile, own[texts], best, len(own) * items >= COMPILED_FROM)
            _count_rows(tile, own[texts], owner[texts], image, inside, texts, around[:2], counts["t2i"])
            _count_columns(tile, best, place, texts, own_best, tile_columns, around[2:], counts["i2t"])
    return counts


def _around(tile: Tensor, own: Tensor, best: Tensor, many: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(m) scores above and at least each text's own, (n) above and at least each image's best.

    Args:
        many: whether the whole matrix is so large that compiled loops pay.
    """
    fast = many and tile.device.type == "cpu" and tile.dtype == own.dtype == best.dtype == torch.float32
    if fast and (compiled := module_with_numba("raytrain.evaluation.ranking.tile_counts")) is not None:
        counts: tuple[Tensor, Tensor, Tensor, Tensor] = compiled.around(tile, own, best)
        return counts
    rows = own[:, None]
    return _count(tile > rows, 1), _count(tile >= rows, 1), _count(tile > best, 0), _count(tile >= best, 0)


def _count_rows(
    tile: Tensor,
    own: Tensor,
    owner: Tensor,
    image: Tensor,
    inside: Tensor,
    texts: Tensor,
    around: Sequence[Tensor],
    into: Counts,
) -> None:
    """Add to `into` the counts around each text's image in the tile.

    Args:
        around: (m) scores above its own and at least its own.
    """
    better, least = around
    tied = least - better
    tied[inside] -= 1  # a text's image ties with itself
    into.better[texts] += better
    into.tied[texts] += tied
    rows = _with_ties(tied)
    if len(rows):
        above = (tile[rows] == own[rows, None]) & (image > owner[rows, None])
        into.tied_above[texts[rows]] += _count(above, 1)


def _count_columns(
    tile: Tensor,
    best: Tensor,
    place: Tensor,
    texts: Tensor,
    own_best: Tensor,
    columns: slice,
    around: Sequence[Tensor],
    into: Counts,
) -> None:
    """Add to `into` the counts around each image's best text in the tile.

    Args:
        around: (n) scores above its best and at least its best.
    """
    better, least = around
    tied = least - better - own_best
    into.better[columns] += better
    into.tied[columns] += tied
    with_ties = _with_ties(tied)
    if len(with_ties):
        above = (tile[:, with_ties] == best[with_ties]) & (texts[:, None] > place[with_ties])
        into.tied_above[columns.start + with_ties] += _count(above, 0)


def _with_ties(tied: Tensor) -> Tensor:
    """Positions of the rows or columns whose indices are to be compared.

    Most tiles have few that tie. A GPU compares all: that takes less than to wait for the number of those.
    """
    return tied.nonzero()[:, 0] if tied.device.type == "cpu" else torch.arange(len(tied), device=tied.device)


def _count(yes: Tensor, dim: int) -> Tensor:
    return yes.sum(dim, dtype=torch.int32).long()


def total(parts: Sequence[Mapping[Direction, Counts]]) -> dict[Direction, Counts]:
    """The sum of counts over disjoint parts."""
    return {
        direction: Counts(
            *(torch.stack(counts).sum(0) for counts in zip(*(part[direction] for part in parts), strict=True))
        )
        for direction in DIRECTIONS
    }


def merge(parts: Sequence[Mapping[Direction, Counts]], positives: Positives) -> dict[Direction, Counts]:
    """The counts over all texts and images, from those over disjoint parts; -1 for an image without a text."""
    counts, empty = total(parts), positives.place < 0
    return {"i2t": Counts(*(part.masked_fill(empty, -1) for part in counts["i2t"])), "t2i": counts["t2i"]}


def stream_counts(
    tile: Tile,
    item_of_text: Tensor,
    items: int,
    cost: int = 1,
    memory_mib: float = MEMORY_MIB,
    keep: Tensor | None = None,
    refused: bool = False,
) -> dict[Direction, Counts]:
    """Counts of both directions, those of `image_to_text_counts` and `text_to_image_counts` on the same scores.

    Args:
        tile: computes the scores.
        item_of_text: (M,) position of the image that each text belongs to.
        items: N.
        cost: numbers in memory per pair that is compared.
        memory_mib: budget of everything in memory at once, in MiB.
        keep: (M, N) matrix to write the scores to; None drops them.
        refused: as of `Scores`.

    Raises:
        ValueError: positions that do not fit, or NaN among the scores.
    """
    scores = Scores(tile, Plan.of(item_of_text.cpu(), items, cost, memory_mib), refused)
    positives = Positives.of(own_scores(scores), item_of_text, items)
    return merge([count(scores, positives, keep=keep)], positives)
