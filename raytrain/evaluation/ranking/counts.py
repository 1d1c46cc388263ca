"""Ranks by counting: the number of gallery items that rank above a query's best positive. Nothing is sorted.

Ties have a defined order. Of equal scores the item with the higher index ranks above, as in an ascending stable sort
read backwards. Published evaluators mean that order, but their sort is unstable, which leaves their ties undefined. A
model that collapsed to one score for everything therefore ranks the one positive of a query by its index: with
positives spread evenly over the gallery that is chance, not 100 %. `ties="pessimistic"` ranks every tied item that is
not relevant above the positive, and a collapsed model scores zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from raytrain.evaluation.ranking.precision import refuse_half

Ties = Literal["ordered", "pessimistic"]
CHUNK_ELEMENTS = 500_000  # scores processed at once, so that temporaries stay in the cache for any matrix

Rescoring = Callable[[Tensor, slice], Tensor]
"""(some rows of the scores, which rows these are) -> the scores that rank them: what re-ranking makes of them."""


class Counts(NamedTuple):
    """Number of items around the best positive of each query; all -1 where a query has no positive.

    better: (Q,) int64, items with a strictly greater score.
    tied_above: (Q,) int64, items with an equal score and a higher index.
    tied: (Q,) int64, items with an equal score that are not relevant.
    """

    better: Tensor
    tied_above: Tensor
    tied: Tensor

    def ranks(self, ties: Ties = "ordered") -> Tensor:
        """(Q,) int64 0-based ranks; -1 where a query has no positive.

        Raises:
            ValueError: another name for ties.
        """
        if ties not in ("ordered", "pessimistic"):
            raise ValueError(f"ties has no choice {ties!r}. Choices: ordered, pessimistic.")
        above = self.tied_above if ties == "ordered" else self.tied
        return torch.where(self.better < 0, self.better, self.better + above)


def ranks(similarity: Tensor, relevant: Tensor, ties: Ties = "ordered") -> Tensor:
    """(Q,) int64 0-based rank of each query's best relevant item; -1 where a query has none.

    Args:
        similarity: (Q, G) scores, larger is closer.
        relevant: (Q, G) bool, True where the item (column) answers the query (row).
        ties: "ordered", of equal scores the higher index ranks above; "pessimistic", every tied item that is not
            relevant ranks above.

    Raises:
        ValueError: NaN among the scores, scores in half precision, or another name for ties.
    """
    most = int(relevant.sum(1).max()) if len(relevant) else 0
    order = relevant.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, : max(1, most)]
    positives = torch.where(relevant.gather(1, order), order, -1)
    return positive_counts(similarity, positives).ranks(ties)


def positive_counts(similarity: Tensor, positives: Tensor) -> Counts:
    """Counts around the best positive of each query.

    Args:
        similarity: (Q, G) scores.
        positives: (Q, P) int64 positions of gallery items, -1 where a query has fewer; P at least 1.

    Raises:
        ValueError: NaN among the scores.
    """
    chunks = zip(_row_chunks(similarity), _like_rows(similarity, positives), strict=True)
    parts = [_counts_of(scores, positions) for scores, positions in chunks]
    return Counts(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _counts_of(similarity: Tensor, positives: Tensor) -> Counts:
    """`positive_counts` of one chunk of rows."""
    _refuse_nan(similarity)
    listed = positives >= 0
    own = similarity.gather(1, positives.clamp(min=0)).masked_fill(~listed, -torch.inf)
    best = own.amax(1, keepdim=True)
    shared = listed & (own == best)
    place = torch.where(shared, positives, -1).amax(1, keepdim=True)
    better = _count(similarity > best, 1)
    tied = _count(similarity >= best, 1) - better - shared.sum(1)
    above = torch.zeros_like(tied)
    rows = (tied > 0).nonzero()[:, 0]
    if len(rows):
        index = torch.arange(similarity.shape[1], device=similarity.device)
        above[rows] = _count((similarity[rows] == best[rows]) & (index > place[rows]), 1)
    empty = ~listed.any(1)
    return Counts(*(count.masked_fill(empty, -1) for count in (better, above, tied)))


def best_first(similarity: Tensor, k: int) -> Tensor:
    """(Q, k) int64 positions of the k best items per row, best first; of equal scores the higher index comes first.

    Only these k are sorted: `topk` selects them, and rows with equal scores are ordered again, since `topk` does not
    define which of equal ones it takes.

    Args:
        similarity: (Q, G) scores without NaN, for a few rows at a time.
        k: from 1 to G.
    """
    refuse_half(similarity)
    values, positions = similarity.topk(k, dim=1)
    last = values[:, -1:]
    taken = _count(values == last, 1)
    rows = (_count(similarity >= last, 1) > k).nonzero()[:, 0]  # more items have the last score than there is room for
    if len(rows):
        index = torch.arange(similarity.shape[1], device=similarity.device)
        highest = torch.where(similarity[rows] == last[rows], index, -1).topk(k, dim=1).values
        column = torch.arange(k, device=similarity.device) - (k - taken[rows, None])
        positions[rows] = torch.where(column >= 0, highest.gather(1, column.clamp(min=0)), positions[rows])
    rows = (values[:, 1:] == values[:, :-1]).any(1).nonzero()[:, 0]
    if len(rows):
        by_index, order = positions[rows].sort(dim=1, descending=True)
        order = values[rows].gather(1, order).argsort(dim=1, descending=True, stable=True)
        positions[rows] = by_index.gather(1, order)
    return positions


def text_to_image_counts(similarity: Tensor, item_of_text: Tensor, rescoring: Rescoring | None = None) -> Counts:
    """Counts for M text queries over N images.

    Computes neither (M, N) masks nor a transposed copy: a 25,000 x 5,000 matrix needs little memory beside itself.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        rescoring: of blocks of rows; None ranks by the scores as they are.

    Raises:
        ValueError: shapes or positions that do not fit, or NaN among the scores.
    """
    owner = check_owner(similarity, item_of_text)
    index = torch.arange(similarity.shape[1], device=similarity.device)
    parts = []
    for part, scores in _chunks(similarity, rescoring):
        place = owner[part]
        best = scores.gather(1, place[:, None])
        better = _count(scores > best, 1)
        tied = _count(scores >= best, 1) - better - 1  # a text has one image, which ties with itself
        above = torch.zeros_like(tied)
        rows = tied.nonzero()[:, 0]  # most matrices have few ties: compare indices only in rows that have some
        if len(rows):
            above[rows] = _count((scores[rows] == best[rows]) & (index > place[rows, None]), 1)
        parts.append(Counts(better, above, tied))
    return Counts(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def image_to_text_counts(similarity: Tensor, item_of_text: Tensor, rescoring: Rescoring | None = None) -> Counts:
    """Counts for N image queries over M texts; -1 for an image without texts. Arguments as `text_to_image_counts`."""
    owner = check_owner(similarity, item_of_text)
    texts, images = similarity.shape
    if rescoring is None:
        own = similarity.gather(1, owner[:, None])[:, 0]
    else:
        own = torch.cat([s.gather(1, owner[part, None])[:, 0] for part, s in _chunks(similarity, rescoring)])
    if bool(own.isnan().any()):
        _refuse_nan(own)
    best = own.new_full((images,), -torch.inf).scatter_reduce(0, owner, own, "amax")
    is_best = own == best[owner]
    row = torch.arange(texts, device=similarity.device)
    place = row.new_full((images,), -1).scatter_reduce(0, owner[is_best], row[is_best], "amax")

    better, above, tied = (row.new_zeros(images) for _ in range(3))
    for part, scores in _chunks(similarity, rescoring):
        number = row[part]
        chunk_better = _count(scores > best, 0)
        better += chunk_better
        own_best = torch.bincount(owner[number][is_best[number]], minlength=images)
        chunk_tied = _count(scores >= best, 0) - chunk_better - own_best
        tied += chunk_tied
        columns = chunk_tied.nonzero()[:, 0]
        if len(columns):
            equal = scores[:, columns] == best[columns]
            above[columns] += _count(equal & (number[:, None] > place[columns]), 0)
    empty = place < 0
    return Counts(*(count.masked_fill(empty, -1) for count in (better, above, tied)))


def check_owner(similarity: Tensor, item_of_text: Tensor) -> Tensor:
    """`item_of_text` as (M,) int64 on the device of `similarity`, checked.

    Raises:
        ValueError: positions that do not fit the (M, N) matrix, or scores in half precision.
    """
    if similarity.ndim != 2 or 0 in similarity.shape:
        raise ValueError(f"similarity has shape {tuple(similarity.shape)}; give (M, N), texts by images, none empty")
    if tuple(item_of_text.shape) != (similarity.shape[0],):
        raise ValueError(
            f"item_of_text has shape {tuple(item_of_text.shape)}; similarity {tuple(similarity.shape)} has one row per "
            f"text: give ({similarity.shape[0]},)"
        )
    refuse_half(similarity)
    owner = item_of_text.to(similarity.device, torch.int64)
    low, high = int(owner.min()), int(owner.max())
    if low < 0 or high >= similarity.shape[1]:
        raise ValueError(f"item_of_text runs from {low} to {high}; there are {similarity.shape[1]} images")
    return owner


def _chunks(similarity: Tensor, rescoring: Rescoring | None) -> Iterator[tuple[slice, Tensor]]:
    """(rows, the scores that rank them) of each chunk; raises ValueError at NaN."""
    rows = max(1, CHUNK_ELEMENTS // max(1, similarity.shape[1]))
    for first in range(0, len(similarity), rows):
        part = slice(first, first + rows)
        scores = similarity[part]
        _refuse_nan(scores)
        yield part, scores if rescoring is None else rescoring(scores, part)


def _row_chunks(matrix: Tensor) -> tuple[Tensor, ...]:
    return torch.split(matrix, max(1, CHUNK_ELEMENTS // max(1, matrix.shape[1])))


def _like_rows(matrix: Tensor, vector: Tensor) -> tuple[Tensor, ...]:
    """`vector` (rows, ...), split into the chunks of `_row_chunks(matrix)`."""
    return torch.split(vector, max(1, CHUNK_ELEMENTS // max(1, matrix.shape[1])))


def _count(yes: Tensor, dim: int) -> Tensor:
    """int64 count of True along `dim`; summing into int32 is six times faster than into int64."""
    return yes.sum(dim, dtype=torch.int32).long()


def _refuse_nan(scores: Tensor) -> None:
    refuse_half(scores)
    if not bool(scores.sum().isnan()):  # a sum propagates NaN, and is far faster than a check of every score
        return
    missing = scores.isnan()
    if bool(missing.any()):
        raise ValueError(
            f"similarity holds NaN ({int(missing.sum())} in the first chunk that has any): it has no rank. "
            "Look for an embedding of norm zero, or a model that diverged."
        )
