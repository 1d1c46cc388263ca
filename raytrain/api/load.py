"""`raytrain.load`: a trained model, from a run, an export or MLflow's registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from raytrain.api.outside_errors import public_call
from raytrain.progress import Listener

if TYPE_CHECKING:
    import torch

    from raytrain.retrieval.retriever import Retriever


def load(
    model: str | os.PathLike[str],
    device: str | torch.device | None = None,
    table: str | os.PathLike[str] | None = None,
    *,
    progress: Listener | None = None,
) -> Retriever:
    """The trained model of a run or of an export, with the backbones that made its features.

    Args:
        model: folder of a run, whose best checkpoint is taken; one that `raytrain export` wrote; or a model of MLflow's
            registry, models:/NAME@champion, in the store of MLFLOW_TRACKING_URI or else runs/mlflow.db.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        table: folder of the run's table, where it was moved since training. An export needs no table.
        progress: called with a `ProgressEvent` where large features are verified; None is silent.

    Raises:
        UsageError: the folder holds no finished checkpoint, or no such device.
        RefusedError: the run has not finished, or its table has changed since.
        DataError: the checkpoint or the export is damaged, or the table is gone.
        RaytrainError: the folder cannot be read.
    """
    from raytrain.retrieval.load import load as load_model

    with public_call(progress):
        return load_model(model, device, table)
