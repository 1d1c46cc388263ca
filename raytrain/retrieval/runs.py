"""A finished run, opened: its best checkpoint, its table, and a Retriever of both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from raytrain.data.table import Table
from raytrain.errors import RefusedError, UsageError
from raytrain.retrieval.images import image_input
from raytrain.retrieval.query_banks import RunBanks
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.table_rows import home_rows, other_rows
from raytrain.retrieval.texts import text_input
from raytrain.scoring.feed import Feed
from raytrain.tracking.run_record import RunRecord, read_run
from raytrain.training import checkpoint
from raytrain.training.checkpoint import Checkpoint
from raytrain.training.run import load_run, unchanged_table


@dataclass(frozen=True)
class OpenRun:
    """A finished run.

    Args:
        record: of its journal.
        saved: its best checkpoint.
        feed: readers of its table.
        table: that it was trained on.
        banks: of inductive re-ranking.
        retriever: of all of them.
    """

    record: RunRecord
    saved: Checkpoint
    feed: Feed
    table: Table
    banks: RunBanks
    retriever: Retriever


def finished_run(run: str | os.PathLike[str]) -> RunRecord:
    """The record of a run that has ended as it should.

    Raises:
        UsageError: no folder of a run.
        RefusedError: the run has not finished: what it would find is of an epoch that nobody chose.
    """
    folder = Path(run).expanduser().resolve()
    if folder.name.startswith(checkpoint.PREFIX):
        raise UsageError(f"{folder.name} is a checkpoint; give its run, {folder.parent}")
    record = read_run(folder)
    if not record.start:
        raise UsageError(f"{folder} is not the folder of a run")
    if record.status not in ("finished", "pruned"):
        raise RefusedError(f"{folder.name} has not finished; searches are of finished runs")
    return record


def open_run(run: str | os.PathLike[str], device: torch.device, table: str | os.PathLike[str] | None = None) -> OpenRun:
    """The run in a folder, its model on a device.

    Args:
        table: folder of the run's table, where it was moved since training.

    Raises:
        UsageError: the folder holds no finished checkpoint.
        RefusedError: the run has not finished, or its table has changed since.
        DataError: the checkpoint is damaged, or the table is gone.
    """
    record = finished_run(run)
    model, feed, saved = load_run(record.folder, Table(table) if table else None, device=device)
    config, own_table = saved.config, unchanged_table(saved, table)
    own_table.refuse_other_features(record.start.get("features", {}))
    features = own_table.features
    texts = text_input(config, features, feed.vocabulary, device)
    images = image_input(config, features, feed.backbone, device)
    banks = RunBanks(record.folder, model, feed, own_table, config, device)
    retriever = Retriever(
        model,
        texts,
        images,
        composed=config.batch_by == "query",
        device=device,
        memory_mib=config.evaluation.memory_mib,
        home=home_rows(own_table, feed, config),
        rows_of_other=lambda other: other_rows(other, features, config, images, texts, device),
        banks=banks,
    )
    return OpenRun(record, saved, feed, own_table, banks, retriever)
