"""A finished run, opened. What is refused, and what its Retriever computes: test_load.py."""

from __future__ import annotations

from pathlib import Path

import torch

from raytrain.data.table import Table
from raytrain.retrieval.runs import open_run


def test_checkpoint_table_and_retriever_are_of_one_run(run: Path, pictures: Table) -> None:
    opened = open_run(run, torch.device("cpu"))
    assert opened.record.folder == run.resolve() == opened.saved.path.parent
    assert opened.table.fingerprint == pictures.fingerprint == opened.banks.fingerprint
    assert opened.retriever.model is opened.banks.model and opened.retriever.home is not None
