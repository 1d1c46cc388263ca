"""The scores of queries against the entries of a gallery, block by block: the embeddings may lie on disk."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.scoring.embed import score

Kind = Literal["images", "texts"]
"""What the entries of a gallery are."""

BLOCK_NUMBERS = 2**22
"""Numbers of embeddings that are in memory, or on the model's device, at once: 16 MiB of float32.

Sets of one query are scored at half the cost of blocks of 64 MiB (docs/log.md)."""


def scores_of(model: Method, queries: Tensor, entries: Tensor, of: Kind, memory_mib: float) -> Tensor:
    """(Q, G) scores by the method's own similarity, float32, on the CPU.

    Args:
        queries: (Q, ...) embeddings on the model's device.
        entries: (G, ...) embeddings; memory-mapped ones are read block by block.
        of: what the entries are; texts stand on the side of the queries of the method.
        memory_mib: MiB that comparing them may hold beside scores and a block.
    """
    scores = torch.empty(len(queries), len(entries))
    size = max(1, BLOCK_NUMBERS // max(1, math.prod(entries.shape[1:])))
    for start in range(0, len(entries), size):
        block = entries[start : start + size].to(queries.device)
        if of == "texts":
            scores[:, start : start + size] = score(model, block, queries, memory_mib).T
        else:
            scores[:, start : start + size] = score(model, queries, block, memory_mib)
    return scores
