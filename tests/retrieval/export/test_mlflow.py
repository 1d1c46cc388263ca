"""The target mlflow. What is logged: tests/retrieval/registry/."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.errors import UsageError
from raytrain.retrieval.export import mlflow
from raytrain.retrieval.export.mlflow import write_mlflow
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.registry.log import Registered
from raytrain.retrieval.runs import open_run


def test_the_model_goes_to_the_store_that_was_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[str] = []
    monkeypatch.setattr(mlflow, "prepare_store", lambda uri: stores.append(uri))
    monkeypatch.setattr(mlflow, "log_model", lambda opened, uri: Registered("shop", "3", "m-1"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    opened = open_run(run, torch.device("cpu"))
    named = write_mlflow(opened, tmp_path, ExportOptions(tracking="http://127.0.0.1:5000"))
    assert named == {"path": "models:/shop/3", "model": "shop", "version": "3", "store": "http://127.0.0.1:5000"}
    own = write_mlflow(opened, tmp_path, ExportOptions())["store"]
    assert own == f"sqlite:///{run.resolve().parent.parent / 'mlflow.db'}" and stores[-1] == own
    with pytest.raises(UsageError, match="--tracking none leaves it out"):
        write_mlflow(opened, tmp_path, ExportOptions(tracking="none"))
