"""Composed queries of a split: as positions, and their scores block by block, so that no matrix of all is made."""

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
    """The split's queries as positions."""
    table = split.table
    parts = [""]
    if table.gallery == "group":  # in the order that the split numbers them in
        parts = np.unique(table.items["group"].to_numpy()[split.items].astype(str)).tolist()
    return ComposedQueries(
        torch.from_numpy(split.reference),
        _rows_of(split.targets, split.target_offsets),
        _rows_of(split.subset, split.subset_offsets),
        torch.from_numpy(split.item_part),
        parts,
        table.queries["id"].take(split.rows).to_pylist() if table.queries is not None else [],
        table.items["id"].take(split.items).to_pylist(),
    )


def blocks_of(model: Method, query: Tensor, gallery: Tensor, memory_mib: float) -> Blocks:
    """Scores of some of the embedded queries against some of the embedded images.

    Args:
        memory_mib: what is held while they are compared, beside a block.
    """

    def blocks(rows: Tensor, columns: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        images = gallery if columns is None else gallery[columns]
        for chunk in torch.split(rows, block_rows(len(images))):
            yield chunk, score(model, query[chunk], images, memory_mib)

    return blocks


def _rows_of(values: np.ndarray, offsets: np.ndarray) -> Tensor:
    """(Q, P) int64 of lists that lie one behind the other, -1 where there are fewer than P."""
    sizes = np.diff(offsets)
    filled = np.full((len(sizes), max(1, int(sizes.max(initial=0)))), -1, np.int64)
    filled[np.arange(filled.shape[1]) < sizes[:, None]] = values
    return torch.from_numpy(filled)
