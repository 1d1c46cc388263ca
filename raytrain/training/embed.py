"""A split through a method: embeddings of queries and images, the matrix of their scores, and what it is worth."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from raytrain.data.batches import Batch, image_batches, query_batches, text_batches, to_device
from raytrain.data.queries import QuerySplit
from raytrain.data.table import AnySplit
from raytrain.evaluation.composed import composed_metrics, evaluate_composed
from raytrain.evaluation.protocols import Result, evaluate
from raytrain.evaluation.recall import image_text_metrics
from raytrain.evaluation.reranking import Temperatures
from raytrain.methods.base import Method
from raytrain.training.feed import Feed
from raytrain.training.gather import gather, rank, world_size


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
    if isinstance(split, QuerySplit):
        asked = query_batches(split, _share(np.arange(len(split))), feed.regions, feed.texts)
    else:
        asked = text_batches(_share(split.texts), feed.texts)
    query = _encode(model.encode_query, asked, device)
    gallery = _encode(model.encode_gallery, image_batches(_share(split.items), feed.regions), device)
    model.train(was_training)
    return gather(query), gather(gallery)


@torch.no_grad()
def score(model: Method, query: Tensor, gallery: Tensor, block: int = 2**25) -> Tensor:
    """(M, N) scores of embedded captions against embedded images, on the CPU, float32.

    Args:
        block: about how many numbers a chunk of queries may compare at once: sets of K and J elements make K J of
            them for each score.
    """
    a_query = math.prod(query.shape[1:-1]) * math.prod(gallery.shape[:-1])
    parts = torch.split(query, max(1, min(1024, block // max(a_query, 1))))
    return torch.cat([model.similarity(part, gallery).float().cpu() for part in parts])


def score_split(model: Method, split: AnySplit, feed: Feed, device: torch.device) -> Tensor:
    """(M, N) scores of the split's queries against its images, on rank 0; an empty tensor elsewhere."""
    query, gallery = embed_split(model, split, feed, device)
    return score(model, query, gallery) if rank() == 0 else torch.empty(0)


def split_metrics(scores: Tensor, split: AnySplit) -> dict[str, float]:
    """The metrics of (M, N) scores by the whole split, without re-ranking."""
    if isinstance(split, QuerySplit):
        return composed_metrics(scores, torch.from_numpy(split.relevant()), torch.from_numpy(split.candidates()))
    return image_text_metrics(scores, torch.from_numpy(split.item_of_text))


def split_result(scores: Tensor, split: AnySplit, protocol: str, temperatures: Temperatures | None = None) -> Result:
    """What a protocol says of (M, N) scores of the split."""
    if isinstance(split, QuerySplit):
        masks = torch.from_numpy(split.relevant()), torch.from_numpy(split.candidates())
        return evaluate_composed(scores, *masks, torch.from_numpy(split.reference), protocol)
    return evaluate(scores, torch.from_numpy(split.item_of_text), protocol, temperatures)


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank encodes."""
    return np.array_split(rows, world_size())[rank()]


def _encode(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    return torch.cat(parts)
