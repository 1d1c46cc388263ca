"""A split through a method: embeddings of every caption and image, then the matrix of their scores."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from raytrain.data.batches import Batch, image_batches, text_batches, to_device
from raytrain.data.table import Split
from raytrain.methods.base import Method
from raytrain.training.feed import Feed
from raytrain.training.gather import gather, padded, rank, world_size


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.no_grad()
def embed_split(model: Method, split: Split, feed: Feed, device: torch.device) -> tuple[Tensor, Tensor]:
    """(M, ...) embeddings of the split's captions and (N, ...) of its images, float32 whatever a run trains in.

    Each rank encodes a share of the split; every rank gets all of them.
    """
    was_training = model.training
    model.eval()
    query = _encode(model.encode_query, text_batches(_share(split.texts), feed.texts), device)
    gallery = _encode(model.encode_gallery, image_batches(_share(split.items), feed.regions), device)
    model.train(was_training)
    return gather(query), gather(gallery)


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


def score_split(model: Method, split: Split, feed: Feed, device: torch.device) -> Tensor:
    """(M, N) scores of the split's captions against its images, on rank 0; an empty tensor elsewhere."""
    query, gallery = embed_split(model, split, feed, device)
    return score(model, query, gallery) if rank() == 0 else torch.empty(0)


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank encodes."""
    return np.array_split(rows, world_size())[rank()]


def _encode(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    # batches of local features are as long as their longest caption
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([padded(part, sizes) for part in parts])
