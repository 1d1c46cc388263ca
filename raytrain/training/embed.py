"""A split through a method: embeddings of queries and images, the matrix of their scores, and what it is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from raytrain.data.batches import image_batches, query_batches, text_batches, to_device
from raytrain.data.queries import QuerySplit
from raytrain.data.readers import Batch
from raytrain.data.table import AnySplit
from raytrain.evaluation.composed import composed_metrics, query_ranks
from raytrain.evaluation.diagnostics import rank_correlation, set_diagnostics
from raytrain.evaluation.ranking import text_to_image_counts
from raytrain.evaluation.recall import image_text_metrics
from raytrain.methods.base import Method
from raytrain.training.feed import Feed
from raytrain.training.gather import gather, padded, rank, world_size


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


@torch.no_grad()
def score(model: Method, query: Tensor, gallery: Tensor, block: int = 2**25) -> Tensor:
    """(M, N) scores of embedded captions against embedded images, on the CPU, float32.

    Args:
        block: about how many numbers a chunk of queries and gallery items may hold at once while they are compared;
            the method says how many a pair takes.
    """
    was_training = model.training
    model.eval()
    cost = max(1, model.pair_cost(query, gallery))
    columns = max(1, min(len(gallery), block // cost))
    rows = max(1, min(1024, block // (cost * columns)))
    chunks = torch.split(gallery, columns)
    scores = [
        torch.cat([model.similarity(part, chunk).float().cpu() for chunk in chunks], 1)
        for part in torch.split(query, rows)
    ]
    model.train(was_training)
    return torch.cat(scores)


def score_split(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> Tensor:
    """(M, N) scores of the split's queries against its images, on rank 0; an empty tensor elsewhere."""
    query, gallery = embed_split(model, split, feed, device)
    return score(model, query, gallery) if rank() == 0 else torch.empty(0)


def split_metrics(scores: Tensor, split: AnySplit) -> dict[str, float]:
    """The metrics of (M, N) scores by the whole split, without re-ranking."""
    if isinstance(split, QuerySplit):
        return composed_metrics(scores, torch.from_numpy(split.relevant()), torch.from_numpy(split.candidates()))
    return image_text_metrics(scores, torch.from_numpy(split.item_of_text))


def diagnostics(
    model: Method, scores: Tensor, query: Tensor, gallery: Tensor, uncertainty: Tensor | None, split: AnySplit
) -> dict[str, float]:
    """What the embeddings of a split look like, and whether the uncertain queries are those that rank badly."""
    owner = None if isinstance(split, QuerySplit) else torch.from_numpy(split.item_of_text).to(gallery.device)
    found = {} if model.local_features else set_diagnostics(query, gallery, owner)
    if uncertainty is not None:
        if isinstance(split, QuerySplit):
            ranks = query_ranks(scores, torch.from_numpy(split.relevant()), torch.from_numpy(split.candidates()))
        else:
            ranks = text_to_image_counts(scores, torch.from_numpy(split.item_of_text)).ranks()
        found["diagnostics/uncertainty_rank_correlation"] = rank_correlation(uncertainty, ranks)
    return found


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank encodes."""
    return np.array_split(rows, world_size())[rank()]


def encode_batches(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    """What `encode` makes of the batches, joined, float32; local features are padded to the longest."""
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    # batches of local features are as long as their longest caption
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([padded(part, sizes) for part in parts])
