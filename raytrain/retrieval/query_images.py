"""Images as queries: files, bytes and images of Pillow, or an item of a table by its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import pyarrow as pa
import pyarrow.compute as pc
import torch

from raytrain.data.load.readers import Batch
from raytrain.data.table import Table
from raytrain.errors import UsageError, did_you_mean
from raytrain.retrieval.images import Picture

Source = tuple[Callable[..., Batch], object]
"""What reads an image of a query, and what it reads: a picture, or a row of a table."""


@dataclass(frozen=True)
class Item:
    """An image of the gallery's table (of the run's own, where a gallery has none), as a query.

    Args:
        id: as the table names it.
    """

    id: str


QueryImage = Union[Picture, Item]  # noqa: UP007 - Picture is a forward reference where Pillow is not installed


def regions_of(sources: Sequence[Source]) -> Batch:
    """The regions of images, each with what reads it, as one batch."""
    first = sources[0][0]
    if all(read == first for read, _ in sources):
        return first([image for _, image in sources])
    parts = [read([image]) for read, image in sources]
    return {name: torch.cat([part[name].to(parts[0][name].device) for part in parts]) for name in parts[0]}


def row_of(table: Table, identity: str) -> int:
    """The row of a table's item; UsageError where it has no such id."""
    row = pc.index(table.items["id"], pa.scalar(identity)).as_py()
    if row < 0:
        close = did_you_mean(identity, table.items["id"].to_pylist()) if len(table.items) <= 10_000 else "."
        raise UsageError(f"{table.path} has no item '{identity}'{close}")
    return int(row)
