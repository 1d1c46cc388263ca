"""A Retriever from what training left: the folder of a finished run."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from raytrain.config import RunConfig, TransformerText
from raytrain.data.table import Table
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.retrieval.images import FrozenImages, ImageInput, TrainedImages
from raytrain.retrieval.query_banks import QueryBanks
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.table_rows import home_rows, other_rows
from raytrain.retrieval.texts import FrozenStates, Pieces, TextInput, Words
from raytrain.scoring.feed import Feed
from raytrain.tracking.run_record import RunRecord, read_run
from raytrain.training import checkpoint
from raytrain.training.run import load_run, unchanged_table


def load(
    run: str | os.PathLike[str], device: str | torch.device | None = None, table: str | os.PathLike[str] | None = None
) -> Retriever:
    """The best checkpoint of a run, with the backbones that made its features.

    Args:
        run: folder of the run. Other forms of a trained model get a function of their own beside `_of_run`.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        table: folder of the run's table, where it was moved since training.

    Raises:
        UsageError: the folder holds no finished checkpoint, or no such device.
        RefusedError: the run has not finished, or its table has changed since.
        DataError: the checkpoint is damaged, or the table is gone.
    """
    return _of_run(finished_run(run), _device(device), table)


def load_beside(
    record: RunRecord, device: str | None, table: str | os.PathLike[str] | None
) -> tuple[Retriever, str | os.PathLike[str] | None]:
    """The Retriever of a run, and the table to search with it; None stands for the run's own.

    Args:
        record: as `finished_run` gives it.
        device: as in `load`.
        table: to search. Where the run's own table was moved, this is where it is now.
    """
    moved = table is not None and not (Path(str(record.config["data.table"])) / "table.json").exists()
    return load(record.folder, device, table if moved else None), None if moved else table


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


def _of_run(record: RunRecord, device: torch.device, moved_to: str | os.PathLike[str] | None) -> Retriever:
    folder = record.folder
    model, feed, saved = load_run(folder, Table(moved_to) if moved_to else None, device=device)
    config, table = saved.config, unchanged_table(saved, moved_to)
    table.refuse_other_features(record.start.get("features", {}))
    texts, images = _texts(config, table, feed, device), _images(config, table, feed, device)
    return Retriever(
        model,
        texts,
        images,
        composed=config.batch_by == "query",
        device=device,
        memory_mib=config.evaluation.memory_mib,
        home=home_rows(table, feed, config),
        rows_of_other=lambda other: other_rows(other, table, config, images, texts, device),
        banks=QueryBanks(folder, model, feed, table, config, device),
    )


def _texts(config: RunConfig, table: Table, feed: Feed, device: torch.device) -> TextInput:
    if feed.vocabulary is not None:
        return Words(feed.vocabulary, config.data.max_words)
    if isinstance(config.encoder.text, TransformerText):
        return Pieces(config.encoder.text.path, config.data.max_words)
    assert config.data.text_features is not None
    return FrozenStates(table.feature(config.data.text_features, "text"), config.data.max_words, device)


def _images(config: RunConfig, table: Table, feed: Feed, device: torch.device) -> ImageInput:
    image = config.encoder.image
    if image.kind == "transformer":
        assert feed.backbone is not None
        return TrainedImages(feed.backbone.preprocess, feed.images.regions, image.target_pad)
    return FrozenImages(table.feature(config.data.image_features, "image"), config.data.regions, device)


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return default_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"no device '{name}'; give cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"no device '{name}': torch sees no GPU here; leave --device out, or give cpu")
    return device
