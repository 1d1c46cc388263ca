"""A split through a method: embeddings of every caption and image, then the matrix of their scores."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from raytrain.data.batches import Batch, image_batches, text_batches, to_device
from raytrain.data.table import Split
from raytrain.methods import DVSE, VSEInfinity
from raytrain.training.feed import Feed
from raytrain.training.gather import gather, rank, world_size

Method = VSEInfinity | DVSE


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.no_grad()
def score_split(model: Method, split: Split, feed: Feed, device: torch.device, chunk: int = 1024) -> Tensor:
    """(M, N) scores of the split's captions against its images, on the CPU; float32 whatever a run trains in.

    Each rank encodes a share of the split; every rank gets the whole matrix's embeddings and rank 0 the matrix.

    Returns:
        (M, N) on rank 0, an empty tensor elsewhere.
    """
    was_training = model.training
    model.eval()
    query = _encode(model.encode_query, text_batches(_share(split.texts), feed.texts), device)
    gallery = _encode(model.encode_gallery, image_batches(_share(split.items), feed.regions), device)
    query, gallery = _gather_uneven(query, len(split.texts)), _gather_uneven(gallery, len(split.items))
    model.train(was_training)
    if rank() != 0:
        return torch.empty(0)
    # in chunks of queries: K views make a (chunk, N, K) block
    rows = [model.similarity(part, gallery).float().cpu() for part in torch.split(query, chunk)]
    return torch.cat(rows)


def _share(rows: np.ndarray) -> np.ndarray:
    """The rows that this rank encodes."""
    return np.array_split(rows, world_size())[rank()]


def _encode(encode: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device) -> Tensor:
    parts = [encode(to_device(batch, device)).float() for batch in batches]
    return torch.cat(parts)


def _gather_uneven(rows: Tensor, total: int) -> Tensor:
    """Shares of np.array_split, whose sizes differ by one at most -> all rows."""
    world = world_size()
    if world == 1:
        return rows
    longest = -(-total // world)
    padded = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
    sizes = [len(part) for part in np.array_split(np.arange(total), world)]
    parts = torch.split(gather(padded), longest)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
