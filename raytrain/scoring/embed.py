"""Embed a split with a method, and score its queries against its images tile by tile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from raytrain.data.load.batches import (
    IMAGES_AT_ONCE,
    TEXTS_AT_ONCE,
    image_batches,
    query_batches,
    text_batches,
    to_device,
)
from raytrain.data.load.readers import Batch
from raytrain.data.table import AnySplit, QuerySplit, Split
from raytrain.distributed import gather, padded, rank, world_size
from raytrain.encoders.padding import ends_of, know_ends
from raytrain.errors import NonFiniteError, UsageError
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.precision import HALF, widened
from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.ranking.streaming import Tile, stream_counts
from raytrain.evaluation.ranking.tiles import MEMORY_MIB, cut
from raytrain.methods.base import Method
from raytrain.scoring.feed import Feed, free_bytes
from raytrain.similarity.precision import full_precision
from raytrain.similarity.upload import upload

LARGE_TILE = 2**21  # pairs of a query and an image


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Inside, torch computes in this precision ("fp32", "bf16" or "fp16") where it can."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.no_grad()
def embed_split(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> tuple[Tensor, Tensor]:
    """(M, ...) embeddings of the split's captions or composed queries and (N, ...) of its images, always float32.

    Each rank embeds its share of the split; every rank gets the embeddings of all. Where most composed queries share
    their texts, each text is encoded about once.
    """
    was_training = model.training
    model.eval()
    batches, order = _own_query_batches(model, split, feed)
    query = _in_order(encode_batches(model.encode_query, batches, device), order)
    gallery = encode_batches(model.encode_gallery, image_batches(_share(split.items), feed.images), device)
    model.train(was_training)
    return gather(query), gather(gallery)


@torch.no_grad()
def embed_texts(model: Method, split: Split, feed: Feed, device: torch.device, part: slice) -> Tensor:
    """(m, ...) embeddings of a part of the split's captions, by this process alone.

    A part that begins at a multiple of `TEXTS_AT_ONCE` is embedded in the same batches as the whole split, and so to
    the same bits.

    Args:
        model: in evaluation mode.
        part: positions of the captions.
    """
    return encode_batches(model.encode_query, text_batches(split.texts[part], feed.texts, TEXTS_AT_ONCE), device)


@torch.no_grad()
def embed_images(model: Method, split: Split, feed: Feed, device: torch.device, part: slice) -> Tensor:
    """(n, ...) embeddings of a part of the split's images; like `embed_texts`, with multiples of `IMAGES_AT_ONCE`."""
    return encode_batches(model.encode_gallery, image_batches(split.items[part], feed.images, IMAGES_AT_ONCE), device)


@torch.no_grad()
def query_uncertainty(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> Tensor | None:
    """(M,) predicted uncertainty of each query of the split; None for a method that predicts none."""
    was_training = model.training
    model.eval()
    parts: list[Tensor] = []
    batches, order = _own_query_batches(model, split, feed)
    for batch in batches:
        uncertainty = model.uncertainty(to_device(batch, device))
        if uncertainty is None:
            break
        parts.append(uncertainty.float())
    model.train(was_training)
    return gather(_in_order(torch.cat(parts), order)).cpu() if parts else None


def _own_query_batches(model: Method, split: AnySplit, feed: Feed) -> tuple[Iterator[Batch], np.ndarray | None]:
    """The queries of the split that this rank embeds, and (Q,) their positions in the order of the batches.

    Queries with one text stand together, so that it is in one batch or two, where at most half of the texts are
    distinct; None stands for the order of the split.
    """
    if not isinstance(split, QuerySplit):
        return text_batches(_share(split.texts), feed.texts), None
    rows = _share(np.arange(len(split)))
    order = source = None
    if model.texts_once:
        text = split.text[rows]
        source = feed.texts.same(text, split.table.first_equal_text[text])
        if 2 * len(np.unique(source)) <= len(source):
            order = np.argsort(source, kind="stable")
            rows, source = rows[order], source[order]
        else:
            source = None
    return query_batches(split, rows, feed.images, feed.texts, source=source), order


def _in_order(embedded: Tensor, order: np.ndarray | None) -> Tensor:
    """The rows of what was embedded in another order."""
    return embedded if order is None else embedded[upload(torch.from_numpy(np.argsort(order)), embedded.device)]


@contextlib.contextmanager
def scoring(model: Method, query: Tensor, gallery: Tensor, look: bool = True) -> Iterator[Tile]:
    """A function that scores some queries against some images; inside, the model is in evaluation mode.

    Args:
        query: (M, ...) embeddings of captions or composed queries.
        gallery: (N, ...) embeddings of images.
        look: whether it refuses scores that are not finite. On a GPU that is a wait: whoever copies them looks there.

    Raises:
        NonFiniteError: by the function, when a score is not finite.
        UsageError: likewise, when the method computes similarities in half precision.
    """

    # where local features end is asked once, and not for each tile
    ends = ends_of(query) if model.local_features and query.device.type != "cpu" else None

    def tile(queries: Tensor | slice, images: slice) -> Tensor:
        if isinstance(queries, Tensor):
            part = widened(query[upload(queries, query.device)])
        else:
            part = widened(query[queries])
        if ends is not None:
            know_ends(part, ends[queries])
        scores = model.similarity(part, widened(gallery[images]))
        if scores.dtype in HALF:
            name = f"{type(model).__name__}.similarity"
            raise UsageError(f"{name} gives {scores.dtype}, in which near scores tie; it has to compute in float32")
        scores = scores.float()
        return _finite(scores) if look else scores

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), full_precision(query.device.type):  # in a caller's autocast too
            yield tile
    finally:
        model.train(was_training)


def _finite(scores: Tensor) -> Tensor:
    """The scores; raises NonFiniteError where one is not finite. One sum is much faster than a test of each score."""
    if not bool(scores.sum().isfinite()) and not bool(scores.isfinite().all()):
        raise NonFiniteError("similarities are not finite; check the features, or the model diverged")
    return scores


def tile_memory(device: torch.device, memory_mib: float) -> float:
    """MiB that tiles may take: as asked for, on a GPU at least half of what is free there.

    Methods with much to hold per pair would else be cut into tiles of a few pairs.
    """
    return max(memory_mib, free_bytes(device) / 2**21) if device.type == "cuda" else memory_mib


def score(model: Method, query: Tensor, gallery: Tensor, memory_mib: float = MEMORY_MIB) -> Tensor:
    """(M, N) scores of all queries against all images, on the CPU, float32.

    Args:
        query: (M, ...) embeddings of captions or composed queries.
        gallery: (N, ...) embeddings of images.
        memory_mib: MiB that comparing them may hold beside the matrix; the method knows what a pair takes.

    Raises:
        NonFiniteError: a score is not finite.
    """
    scores = torch.empty(len(query), len(gallery))
    if not scores.numel():
        return scores
    # nothing is counted while a tile is in the CPU's cache, and products of large tiles are faster
    memory_mib = tile_memory(query.device, memory_mib)
    rows, columns = cut(len(query), len(gallery), model.pair_cost(query, gallery), memory_mib, LARGE_TILE)
    with scoring(model, query, gallery, look=False) as tile:
        for images in columns:
            for queries in rows:
                scores[queries, images] = _finite(tile(queries, images).cpu())
    return scores


def count_pairs(
    model: Method,
    query: Tensor,
    gallery: Tensor,
    item_of_text: Tensor,
    memory_mib: float = MEMORY_MIB,
    keep: Tensor | None = None,
) -> dict[Direction, Counts]:
    """Counts of both directions, on the CPU, without the (M, N) matrix of scores.

    Args:
        query: (M, ...) embeddings of captions.
        gallery: (N, ...) embeddings of images.
        item_of_text: (M,) position of each caption's image.
        memory_mib: MiB that comparing them may hold.
        keep: (M, N) to be filled with the scores, for a caller that wants them too.

    Raises:
        NonFiniteError: a score is not finite.
    """
    cost, memory_mib = model.pair_cost(query, gallery), tile_memory(query.device, memory_mib)
    with scoring(model, query, gallery) as tile:
        counts = stream_counts(tile, item_of_text, len(gallery), cost, memory_mib, keep, refused=True)
    return {direction: Counts(*(part.cpu() for part in parts)) for direction, parts in counts.items()}


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank embeds."""
    return np.array_split(rows, world_size())[rank()]


def encode_batches(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    """(N, ...) embeddings of all batches by `encode`, float32; local features are padded to the longest."""
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    # local features of a batch are as long as its longest caption
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([padded(part, sizes) for part in parts])
