"""Train and search ambiguous cross-modal retrieval methods on a cluster. Importing does nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raytrain.retrieval import Retriever

__version__ = "0.2.0"


def load(
    run: str | os.PathLike[str], device: str | None = None, table: str | os.PathLike[str] | None = None
) -> Retriever:
    """The trained model of a run or of an export, to embed and to search with (raytrain/retrieval/load.py)."""
    from raytrain.retrieval.load import load as load_retriever

    return load_retriever(run, device, table)
