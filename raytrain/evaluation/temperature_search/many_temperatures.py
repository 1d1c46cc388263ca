"""Ranks under many re-ranking temperatures at once: one pass over the scores for all normalisers, one for all ranks.

Cross and product mode order a query's gallery as similarity - c L(scale), with L the log-mean-exp of each gallery item
over the queries (`log_means`) and c 1 or 1/2. L is rounded to float32, subtracted in float32 and compared, as
`Temperatures` does it: a float32 matrix gets the ranks that `protocols.evaluate` gives, but where a rounding boundary
of L lies within its error. Additive mode takes its exponentials from the same powers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import check_owner
from raytrain.evaluation.temperature_search.log_means import (
    LARGEST_EXPONENT,
    Grid,
    block_rows,
    compiles,
    kernels,
    parts_of,
    powers_of,
    share,
    threads,
)


def text_ranks(scores: Tensor, item_of_text: Tensor, offsets: Tensor, compiled: bool | None = None) -> Tensor:
    """(K, M) int32 rank of each text's image by scores - offsets[k]; ties as in `ranking`.

    Args:
        scores: (M, N) of M texts against N images.
        item_of_text: (M,) image of each text.
        offsets: (K, N) for each image, in the dtype of the scores.
    """
    owner = check_owner(scores, item_of_text)
    ranks = torch.empty(len(offsets), len(scores), dtype=torch.int32)
    if compiles(scores, compiled):
        own = (scores.gather(1, owner[:, None])[:, 0] - offsets[:, owner]).T.contiguous()
        slack, floor = _bounds(offsets, own.T)
        array, place, out = scores.numpy(), owner.numpy(), np.zeros(own.shape, np.int32)
        tables = offsets.T.contiguous().numpy(), own.numpy(), slack.numpy(), floor.numpy()

        def work(part: slice) -> None:
            shift, mine, spare, bound = tables
            kernels().rank_rows(array[part], place[part], shift, mine[part], spare, bound[part], out[part])

        share(work, parts_of(len(scores), 256))
        return torch.from_numpy(out).T
    index = torch.arange(scores.shape[1])
    for part in parts_of(len(scores), block_rows(scores)):
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
    if compiles(scores, compiled):
        slack, floor = _bounds(offsets, best)
        array, shift = scores.numpy(), offsets.T.contiguous().numpy()
        tables = best.T.contiguous().numpy(), place.T.contiguous().int().numpy()
        spare, bound = slack.numpy(), floor.numpy()

        def work(part: slice) -> Tensor:
            here = np.zeros(tables[0].shape, np.int32)
            kernels().rank_columns(array[part], part.start, shift[part], *tables, spare[part], bound, here)
            return torch.from_numpy(here)

        counts = sum(share(work, parts_of(len(scores), -(-len(scores) // threads()))), counts.T).T
    else:
        index = torch.arange(len(scores))
        for part in parts_of(len(scores), block_rows(scores)):
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
    for part in parts_of(texts, block_rows(scores)):
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
    for k, power in powers_of(block - shift, grid):
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
