"""A split through a method: embeddings of queries and images, and their scores tile by tile."""

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
from raytrain.errors import NonFiniteError
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.ranking.streaming import MEMORY_MIB, Tile, cut, stream_counts
from raytrain.methods.base import Method
from raytrain.scoring.feed import Feed

LARGE_TILE = 2**21  # pairs


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.no_grad()
def embed_split(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> tuple[Tensor, Tensor]:
    """(M, ...) embeddings of the split's captions or composed queries and (N, ...) of its images, always float32.

    Each rank encodes a share of the split; every rank gets all of them.
    """
    was_training = model.training
    model.eval()
    query = encode_batches(model.encode_query, _asked(split, feed), device)
    gallery = encode_batches(model.encode_gallery, image_batches(_share(split.items), feed.images), device)
    model.train(was_training)
    return gather(query), gather(gallery)


@torch.no_grad()
def embed_texts(model: Method, split: Split, feed: Feed, device: torch.device, part: slice) -> Tensor:
    """(m, ...) embeddings of a part of the split's captions, by this process alone, of a model in evaluation mode.

    A part that begins at a multiple of `TEXTS_AT_ONCE` has the batches, and so the bits, of the whole split.
    """
    return encode_batches(model.encode_query, text_batches(split.texts[part], feed.texts, TEXTS_AT_ONCE), device)


@torch.no_grad()
def embed_images(model: Method, split: Split, feed: Feed, device: torch.device, part: slice) -> Tensor:
    """(n, ...) embeddings of a part of the split's images; as `embed_texts`, for multiples of `IMAGES_AT_ONCE`."""
    return encode_batches(model.encode_gallery, image_batches(split.items[part], feed.images, IMAGES_AT_ONCE), device)


@torch.no_grad()
def query_uncertainty(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> Tensor | None:
    """(M,) how uncertain the method is of each query of the split; None for one that does not say."""
    was_training = model.training
    model.eval()
    said: list[Tensor] = []
    for batch in _asked(split, feed):
        part = model.uncertainty(to_device(batch, device))
        if part is None:
            break
        said.append(part.float())
    model.train(was_training)
    return gather(torch.cat(said)).cpu() if said else None


def _asked(split: AnySplit, feed: Feed) -> Iterator[Batch]:
    """The queries of the split that this rank encodes."""
    if isinstance(split, QuerySplit):
        return query_batches(split, _share(np.arange(len(split))), feed.images, feed.texts)
    return text_batches(_share(split.texts), feed.texts)


@contextlib.contextmanager
def scoring(model: Method, query: Tensor, gallery: Tensor) -> Iterator[Tile]:
    """What compares texts or queries with images of the split, while the model is in evaluation mode."""

    def tile(queries: Tensor | slice, images: slice) -> Tensor:
        scores = model.similarity(query[queries], gallery[images]).float()
        # a sum is far quicker than asking each score
        if not bool(scores.sum().isfinite()) and not bool(scores.isfinite().all()):
            raise NonFiniteError("similarities are not finite; check the features, or the model diverged")
        return scores

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield tile
    finally:
        model.train(was_training)


def score(model: Method, query: Tensor, gallery: Tensor, memory_mib: float = MEMORY_MIB) -> Tensor:
    """(M, N) scores of embedded captions against embedded images, on the CPU, float32: for who needs all of them.

    Args:
        memory_mib: what is held while they are compared, beside the matrix; the method says what a pair takes.

    Raises:
        NonFiniteError: a score is not finite.
    """
    scores = torch.empty(len(query), len(gallery))
    if not scores.numel():
        return scores
    # nothing is counted while a tile is in the cache, and products of large tiles are quicker
    rows, columns = cut(len(query), len(gallery), model.pair_cost(query, gallery), memory_mib, LARGE_TILE)
    with scoring(model, query, gallery) as tile:
        for images in columns:
            for queries in rows:
                scores[queries, images] = tile(queries, images).cpu()
    return scores


def count_pairs(
    model: Method,
    query: Tensor,
    gallery: Tensor,
    item_of_text: Tensor,
    memory_mib: float = MEMORY_MIB,
    keep: Tensor | None = None,
) -> dict[Direction, Counts]:
    """Counts of both directions, on the CPU, without the (M, N) matrix unless `keep` is one to be filled.

    Raises:
        NonFiniteError: a score is not finite.
    """
    cost = model.pair_cost(query, gallery)
    with scoring(model, query, gallery) as tile:
        found = stream_counts(tile, item_of_text, len(gallery), cost, memory_mib, keep)
    return {way: Counts(*(part.cpu() for part in counts)) for way, counts in found.items()}


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank encodes."""
    return np.array_split(rows, world_size())[rank()]


def encode_batches(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    """What `encode` makes of the batches, joined, float32; local features are padded to the longest."""
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    # batches of local features are as long as their longest caption
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([padded(part, sizes) for part in parts])
