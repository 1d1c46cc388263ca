"""One small run, trained once by `raytrain.train`; tests that write into it copy it."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain
from raytrain.config import override
from tests.runs import small_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[raytrain.TrainedRun, list[raytrain.ProgressEvent]]:
    """The result of training two epochs, and the news that came meanwhile."""
    news: list[raytrain.ProgressEvent] = []
    config = override(small_run(tmp_path_factory.mktemp("api"), num_epochs=2), {"name": "first"})
    return raytrain.train(config, tracking="none", progress=news.append), news


@pytest.fixture
def run(trained: tuple[raytrain.TrainedRun, list[raytrain.ProgressEvent]]) -> Path:
    """Its folder."""
    return trained[0].folder
