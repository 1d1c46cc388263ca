"""A store of MLflow, and a run that was logged to it; both are shared, since making them takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.retrieval.registry.log import Registered, log_model
from raytrain.retrieval.runs import OpenRun, open_run
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.tracking.uri import default_uri


@pytest.fixture(scope="session")
def uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_store, folder)
    return default_uri(folder)


@pytest.fixture(scope="session")
def opened(run: Path, pictures: Table, tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    """A run of the experiment `shop` that was evaluated on validation."""
    folder = Path(shutil.copytree(run, tmp_path_factory.mktemp("storage") / "shop" / "first"))
    evaluate_run(folder)
    return open_run(folder, torch.device("cpu"))


@pytest.fixture(scope="session")
def logged(opened: OpenRun, uri: str) -> Registered:
    return log_model(opened, uri)
