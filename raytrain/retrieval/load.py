"""A Retriever from any form of a trained model: a run, an exported folder, a model in MLflow's registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from raytrain.distributed import default_device
from raytrain.errors import UsageError, argument
from raytrain.retrieval.portable.description import is_portable
from raytrain.retrieval.portable.read import open_portable
from raytrain.retrieval.registry.download import SCHEME, downloaded
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.runs import finished_run, open_run


def load(
    model: str | os.PathLike[str], device: str | torch.device | None = None, table: str | os.PathLike[str] | None = None
) -> Retriever:
    """As `raytrain.load`, whose arguments these are; its news goes to whoever listens, and errors are as they come."""
    where, folder = _device(device), model_folder(model)
    if is_portable(folder):
        if table is not None:
            raise UsageError(f"{model} is an export, which needs no table; give the table to `gallery`")
        return open_portable(folder, where)
    return open_run(folder, where, table).retriever


@dataclass(frozen=True)
class OpenModel:
    """A trained model and what it searches, as the verbs of its users open them.

    Args:
        retriever: of the model.
        name: as a command takes it: the folder of a run or of an export, or an address of the registry.
        folder: of the run, or of the export, wherever the registry keeps that.
        table: to search; None for the run's own, or the gallery that was stored with an export.
        moved_to: where the run's own table is now; None where it has not moved.
    """

    retriever: Retriever
    name: str
    folder: Path
    table: str | os.PathLike[str] | None
    moved_to: str | None = None

    @property
    def short_name(self) -> str:
        return Path(self.name).name

    @property
    def is_run(self) -> bool:
        return not is_portable(self.folder)


def open_model(
    model: str | os.PathLike[str], device: str | None = None, table: str | os.PathLike[str] | None = None
) -> OpenModel:
    """A model in any form that `load` takes, to search a table with.

    Args:
        model, device: as in `load`.
        table: to search; default the run's own, which is where this says if it was moved, or what is stored with an
            export.

    Raises:
        UsageError, RefusedError, DataError: as `load`.
    """
    folder = model_folder(model)
    name = str(model) if str(model).startswith(SCHEME) else str(folder)
    if is_portable(folder):
        return OpenModel(load(folder, device), name, folder, table)
    own_table = Path(str(finished_run(folder).config["data.table"]))
    if table is None or (own_table / "table.json").exists():
        return OpenModel(load(folder, device), name, folder, table)
    return OpenModel(load(folder, device, table), name, folder, None, str(table))


def model_folder(model: str | os.PathLike[str]) -> Path:
    """The folder of a run or of an export; that of an address in the registry is downloaded where it has to be.

    Raises:
        UsageError: the address has another form, or it is no folder of a run nor of an export.
        RefusedError: the run has not finished.
        TrackingError: the registry cannot be used, or has no such model.
    """
    if str(model).startswith(SCHEME):
        return downloaded(str(model))
    folder = Path(model).expanduser().resolve()
    return folder if is_portable(folder) else finished_run(folder).folder


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return default_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"no device '{name}'; give cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"no device '{name}': torch sees no GPU here; leave {argument('device')} out, or give cpu")
    return device
