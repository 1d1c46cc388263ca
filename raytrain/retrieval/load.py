"""A Retriever from any form of a trained model: a run, an exported folder, a model in MLflow's registry."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from raytrain.distributed import default_device
from raytrain.errors import UsageError
from raytrain.retrieval.portable.description import is_portable
from raytrain.retrieval.portable.read import open_portable
from raytrain.retrieval.registry.download import SCHEME, downloaded
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.runs import open_run
from raytrain.tracking.run_record import RunRecord


def load(
    model: str | os.PathLike[str], device: str | torch.device | None = None, table: str | os.PathLike[str] | None = None
) -> Retriever:
    """The trained model of a run or of an export, with the backbones that made its features.

    Args:
        model: folder of a run, whose best checkpoint is taken; one that `raytrain export` wrote; or a model of MLflow's
            registry, models:/NAME@champion, in the store of MLFLOW_TRACKING_URI or else runs/mlflow.db.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        table: folder of the run's table, where it was moved since training. An export needs no table.

    Raises:
        UsageError: the folder holds no finished checkpoint, or no such device.
        RefusedError: the run has not finished, or its table has changed since.
        DataError: the checkpoint or the export is damaged, or the table is gone.
    """
    where = _device(device)
    in_registry = str(model).startswith(SCHEME)
    folder = downloaded(str(model)) if in_registry else Path(model).expanduser().resolve()
    if is_portable(folder):
        if table is not None:
            raise UsageError(f"{model} is an export, which needs no table; give the table to `gallery`")
        return open_portable(folder, where)
    return open_run(folder, where, table).retriever


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
