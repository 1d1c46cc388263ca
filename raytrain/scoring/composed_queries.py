"""Composed queries of a split as positions, and their scores block by block, without the matrix of all scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from raytrain.data.table import QuerySplit
from raytrain.evaluation.protocols.composed import Blocks, ComposedQueries, block_rows
from raytrain.methods.base import Method
from raytrain.scoring.embed import score


def composed_queries(split: QuerySplit) -> ComposedQueries:
    """The split's queries, their references, targets and subsets as positions in the split's items."""
    table = split.table
    parts = [""]
    if table.gallery == "group":  # sorted, as the split numbers them
        parts = np.unique(table.items["group"].to_numpy()[split.items].astype(str)).tolist()
    return ComposedQueries(
        torch.from_numpy(split.reference),
        _as_rows(split.targets, split.target_offsets),
        _as_rows(split.subset, split.subset_offsets),
        torch.from_numpy(split.item_part),
        parts,
        table.queries["id"].take(split.rows).to_pylist() if table.queries is not None else [],
        table.items["id"].take(split.items).to_pylist(),
    )


def blocks_of(model: Method, query: Tensor, gallery: Tensor, memory_mib: float) -> Blocks:
    """Scores of chosen queries against chosen images, a block of queries at a time.

    Args:
        query: (Q, ...) embedded queries.
        gallery: (N, ...) embedded images.
        memory_mib: MiB that comparing them may hold beside a block.
    """

    def blocks(rows: Tensor, columns: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        images = gallery if columns is None else gallery[columns]
        for chunk in torch.split(rows, block_rows(len(images))):
            yield chunk, score(model, query[chunk], images, memory_mib)

    return blocks


def _as_rows(values: np.ndarray, offsets: np.ndarray) -> Tensor:
    """Q lists that are stored one behind the other -> (Q, P) int64; -1 fills lists of fewer than P.

    Args:
        values: of all lists.
        offsets: (Q + 1,) where each list starts and the last one ends.
    """
    sizes = np.diff(offsets)
    filled = np.full((len(sizes), max(1, int(sizes.max(initial=0)))), -1, np.int64)
    filled[np.arange(filled.shape[1]) < sizes[:, None]] = values
    return torch.from_numpy(filled)
