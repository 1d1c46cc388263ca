"""Ranks under many re-ranking temperatures at once: one pass over the scores for all normalisers, one for all ranks.

Cross and product mode order a query's gallery by similarity - c L(scale), with L the log-mean-exp of each gallery item
over the queries (`log_means`) and c = 1 or 1/2; in cross mode the best query of an item has an offset of its own, as in
`Normaliser`. Offsets are subtracted in float64: the ranks are those of `protocols.evaluate`, except between items that
differ by no more than the error of L, 1e-15 for cosines. Additive mode takes its exponentials from the same powers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import check_owner
from raytrain.evaluation.temperature_search.log_means import (
    LARGEST_EXPONENT,
    Grid,
    block_rows,
    load_kernels,
    map_in_threads,
    parts_of,
    powers_of,
    threads,
    use_compiled,
)


class Best(NamedTuple):
    """The query of each gallery item that has an offset of its own: (G,) int64 queries, -1 for none, (K, G) offsets."""

    query: Tensor
    offsets: Tensor


def text_ranks(
    scores: Tensor, item_of_text: Tensor, offsets: Tensor, best: Best | None = None, compiled: bool | None = None
) -> Tensor:
    """(K, M) int32 0-based rank of each text's image by scores - offsets[k]; ties as in `ranking`.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        offsets: (K, N) float64 offset of each image per setting.
        best: text of each image whose offset is another one; None for none.
        compiled: as in `log_means`.
    """
    owner = check_owner(scores, item_of_text)
    ranks = torch.empty(len(offsets), len(scores), dtype=torch.int32)
    index = torch.arange(scores.shape[1])
    own = scores.gather(1, owner[:, None])[:, 0] - _own_offsets(offsets, owner, best, torch.arange(len(scores)))
    if use_compiled(scores, compiled):
        slack, floor = _bounds(offsets, own)
        array, place, out = scores.numpy(), owner.numpy(), np.zeros((len(scores), len(offsets)), np.int32)
        tables = offsets.T.contiguous().numpy(), own.T.contiguous().numpy(), slack.numpy(), floor.numpy()

        def work(part: slice) -> None:
            all_offsets, own_scores, all_slack, all_floors = tables
            load_kernels().rank_rows(
                array[part], place[part], all_offsets, own_scores[part], all_slack, all_floors[part], out[part]
            )

        map_in_threads(work, parts_of(len(scores), 256))
        ranks = torch.from_numpy(out).T
    else:
        for part in parts_of(len(scores), block_rows(scores)):
            block, own_column = scores[part], owner[part]
            for k, offset in enumerate(offsets):
                ranked = (block - offset).scatter_(1, own_column[:, None], own[k, part, None])
                ranks[k, part] = _row_ranks(ranked, own_column, index)
    if best is not None:
        items = ((best.query >= 0) & (owner[best.query] != index)).nonzero()[:, 0]
        query = best.query[items]
        _count_again(ranks, scores[query, items], items, offsets, best, (query, own[:, query], owner[query]))
    return ranks


def image_ranks(
    scores: Tensor, item_of_text: Tensor, offsets: Tensor, best: Best | None = None, compiled: bool | None = None
) -> Tensor:
    """(K, N) int32 0-based rank of each image's best text by scores - offsets[k], -1 without one; ties as in `ranking`.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        offsets: (K, M) float64 offset of each text per setting.
        best: image of each text for which the text's offset is another one; None for none.
        compiled: as in `log_means`.
    """
    owner = check_owner(scores, item_of_text)
    index = torch.arange(len(scores))
    own = scores.gather(1, owner[:, None])[:, 0] - _own_offsets(offsets, index, best, owner)
    leading, place = _best_texts(own, owner, scores.shape[1])
    counts = torch.zeros(len(offsets), scores.shape[1], dtype=torch.int32)
    if use_compiled(scores, compiled):
        slack, floor = _bounds(offsets, leading)
        array, row_offsets = scores.numpy(), offsets.T.contiguous().numpy()
        tables = leading.T.contiguous().numpy(), place.T.contiguous().int().numpy()
        row_slack, floors = slack.numpy(), floor.numpy()

        def work(part: slice) -> Tensor:
            part_counts = np.zeros(tables[0].shape, np.int32)
            load_kernels().rank_columns(
                array[part], part.start, row_offsets[part], *tables, row_slack[part], floors, part_counts
            )
            return torch.from_numpy(part_counts)

        parts = parts_of(len(scores), -(-len(scores) // threads()))
        counts = sum(map_in_threads(work, parts), counts.T).T
    else:
        for part in parts_of(len(scores), block_rows(scores)):
            block, rows = scores[part], index[part, None]
            for k, offset in enumerate(offsets):
                counts[k] += _above(block - offset[part, None], leading[k], place[k], rows)
    if best is not None:
        items = ((best.query >= 0) & (owner != best.query)).nonzero()[:, 0]
        query = best.query[items]
        _count_again(counts, scores[items, query], items, offsets, best, (query, leading[:, query], place[:, query]))
    return counts.masked_fill_(place < 0, -1)


def _own_offsets(offsets: Tensor, item: Tensor, best: Best | None, query: Tensor) -> Tensor:
    """(K, P) offsets of P pairs of a gallery item and a query."""
    if best is None:
        return offsets[:, item]
    return torch.where(best.query[item] == query, best.offsets[:, item], offsets[:, item])


def _count_again(
    ranks: Tensor, scores: Tensor, items: Tensor, offsets: Tensor, best: Best, own: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Count some items for their best query by its own offset, after all were counted by the item's.

    Args:
        ranks: (K, Q), changed in place.
        scores: (P,) score of each of these items for its best query.
        items: (P,) gallery items that are not the best query's own.
        own: (P,) the best queries, (K, P) the scores of their own item, and (P,) or (K, P) its place.
    """
    query, own_score, place = own

    def above(offset: Tensor) -> Tensor:
        value = scores - offset
        return ((value > own_score) | ((value == own_score) & (items > place))).int()

    ranks.index_add_(1, query, above(best.offsets[:, items]) - above(offsets[:, items]))


def additive_ranks(
    scores: Tensor, item_of_text: Tensor, grid: Grid, log_means_of: tuple[Tensor, Tensor], beta: float
) -> tuple[Tensor, Tensor]:
    """(K, N) and (K, M) int32 0-based ranks of both directions by scores + beta * B, B the softmax over the queries.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        grid: of K scales.
        log_means_of: (K, N) over the texts and (K, M) over the images, as `log_means` returns them; for an empty one
            the ranks of its direction are empty too.
        beta: weight of B.
    """
    owner = check_owner(scores, item_of_text)
    texts, images = scores.shape
    over_texts, over_images = log_means_of
    found_images = torch.zeros(len(grid), images if over_images.numel() else 0, dtype=torch.int32)
    found_texts = torch.empty(len(grid), texts if over_texts.numel() else 0, dtype=torch.int32)
    index, number = torch.arange(images), torch.arange(texts)
    scales = torch.tensor(grid.scales, dtype=torch.float64)[:, None]
    best = place = own_scores = torch.empty(0)
    if over_images.numel():
        own = scores.gather(1, owner[:, None])[:, 0]
        bonus = ((own.double() - over_images) * scales).exp() / images
        own_scores = own + beta * bonus
        best, place = _best_texts(own_scores, owner, images)
    for part in parts_of(texts, block_rows(scores)):
        block = scores[part]
        if over_texts.numel():
            for k, bonus in _softmaxes(block.double(), over_texts[:, None], grid, texts):
                found_texts[k, part] = _row_ranks(block + beta * bonus, owner[part], index)
        if over_images.numel():
            for k, bonus in _softmaxes(block.double(), over_images[:, part, None], grid, images):
                # the own texts keep the scores that they are compared with, to the last bit
                ranked = (block + beta * bonus).scatter_(1, owner[part, None], own_scores[k, part, None])
                found_images[k] += _above(ranked, best[k], place[k], number[part, None])
    if over_images.numel():
        found_images.masked_fill_(place < 0, -1)
    return found_images, found_texts


def recall_sum(ranks: Tensor, ks: Sequence[int]) -> Tensor:
    """(K,) float64 sum of the recalls at each of `ks`, in percent, from (K, Q) ranks; queries with -1 do not count."""
    answered = int((ranks[0] >= 0).sum())
    if answered == 0:
        raise ValueError(f"none of {ranks.shape[1]} queries has a positive: there is nothing to average")
    hits = torch.stack([((ranks >= 0) & (ranks < k)).sum(1) for k in ks]).double()
    return (100.0 * hits / answered).sum(0)


def _softmaxes(block: Tensor, log_mean: Tensor, grid: Grid, queries: int) -> Iterator[tuple[int, Tensor]]:
    """(k, softmax over the queries of scale_k * block) of every scale.

    Args:
        block: float64 scores.
        log_mean: (K, ...) log-mean-exps, which broadcast against the block.
        grid: of K scales.
        queries: Q, number of terms of each softmax.
    """
    # the largest term of a softmax over Q queries lies less than log(Q) / scale above the mean
    shift = log_mean.amax(0)
    spread = max(float((block - shift).max()), float((shift - log_mean).max())) * max(grid.scales)
    if spread > LARGEST_EXPONENT:
        for k, scale in enumerate(grid.scales):
            yield k, ((block - log_mean[k]) * scale).exp_() / queries
        return
    for k, power in powers_of(block - shift, grid):
        yield k, power * ((shift - log_mean[k]) * grid.scales[k]).exp() / queries


def _bounds(offsets: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """(G,) slack of items and (Q,) floor of queries: an item with score - slack < floor ranks below at every k.

    It ranks above at k only if score >= own[k] + offset[k]. Moving the mean offset at k from the second term to the
    first makes both nearly constant in k, so that the sum of their minima is a close bound of the minimum of their sum.

    Args:
        offsets: (K, G).
        own: (K, Q) score minus offset of the query's own item; -inf where it has none.
    """
    mean = offsets.double().mean(1, keepdim=True)
    slack, floor = (offsets.double() - mean).amin(0), (own.double() + mean).amin(0)
    floor = torch.where(floor.isfinite(), floor, torch.inf)  # a query without a positive has no rank: skip all items
    # a generous bound of the rounding of both bounds to float32
    largest = max(float(offsets.abs().max()), float(own[own.isfinite()].abs().max()))
    return slack.float(), (floor - 1e-5 * largest).float()


def _row_ranks(ranked: Tensor, place: Tensor, index: Tensor) -> Tensor:
    """(R,) int32 rank of the column `place` of each row of (R, C) scores; `index` is 0..C-1."""
    own = ranked.gather(1, place[:, None])
    later = (ranked == own) & (index > place[:, None])
    return ((ranked > own) | later).sum(1, dtype=torch.int32)


def _above(ranked: Tensor, best: Tensor, place: Tensor, rows: Tensor) -> Tensor:
    """(C,) int32 number of these `rows` of (R, C) scores above the best own row of each column."""
    return ((ranked > best) | ((ranked == best) & (rows > place))).sum(0, dtype=torch.int32)


def _best_texts(own: Tensor, owner: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """(K, N) best score of each image with its own texts, and the highest text with it; -inf and -1 without a text.

    Args:
        own: (K, M) score of each text with its own image.
        owner: (M,) image of each text.
        images: N.
    """
    owners = owner.expand_as(own)
    best = own.new_full((len(own), images), -torch.inf).scatter_reduce(1, owners, own, "amax")
    row = torch.arange(own.shape[1]).expand_as(own)
    row = torch.where(own == best.gather(1, owners), row, -1)
    return best, row.new_full(best.shape, -1).scatter_reduce(1, owners, row, "amax")
