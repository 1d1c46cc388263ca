"""Addresses of the registry. What they open: test_pyfunc.py."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import TrackingError, UsageError
from raytrain.retrieval.registry.download import _fetched, downloaded
from raytrain.retrieval.registry.log import Registered


def test_what_is_not_there_is_told_in_one_line(logged: Registered, uri: str) -> None:
    with pytest.raises(TrackingError, match="nobody"):
        downloaded("models:/shop@nobody", uri)
    with pytest.raises(UsageError, match="models:/NAME/VERSION"):
        downloaded("models:/shop/latest", uri)
    assert (downloaded(logged.uri, uri) / "manifest.json").exists()


def test_what_is_fetched_from_a_server_is_fetched_once_and_removed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(artifact_uri: str, tracking_uri: str, dst_path: str) -> str:
        fetched.append(dst_path)
        return dst_path

    at_exit: list[Any] = []
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fetch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(atexit, "register", lambda *call, **more: at_exit.append((call, more)))
    place = f"mlflow-artifacts:/{tmp_path.name}"
    folder = _fetched(place, "http://head:5000")
    assert _fetched(place, "http://head:5000") == folder and fetched == [str(folder)]
    ((remove, *what), more) = (at_exit[0][0], at_exit[0][1])
    remove(*what, **more)
    assert not folder.exists()
