"""MLflow stores, and journals to mirror."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytrain.tracking.uri import default_uri


@pytest.fixture(scope="session")
def uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests here. Each test has an experiment of its own."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_store, folder)
    return default_uri(folder)


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address on this machine that refuses at once: the port is taken, and nobody listens."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
