"""Which store of MLflow mirrors what is called, and that finished runs send it what they receive."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from raytrain.api.mirroring import mirrored, tracking_uri
from raytrain.errors import UsageError
from raytrain.tracking.journal import Journal


def test_no_tracker_is_prepared_where_none_is_wanted_or_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri("none", str(tmp_path)) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert tracking_uri(None, str(tmp_path)) is None
    with pytest.raises(UsageError, match="neither sqlite"):
        tracking_uri("mlruns", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(URI, name of the run) of what is mirrored; no store is opened."""
    sent: list[tuple[str, str]] = []

    class Mirror(contextlib.nullcontext[Any]):
        def __init__(self, uri: str) -> None:
            super().__init__(self)
            self.uri = uri

        def due(self, folder: Path) -> None:
            sent.append((self.uri, folder.name))

    monkeypatch.setattr("raytrain.tracking.mirror.Mirror", Mirror)
    monkeypatch.setattr("raytrain.tracking.store.prepare_or_warn", lambda uri: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return sent


def test_what_is_written_into_a_finished_run_goes_to_the_store_that_is_there(
    mirror: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [str(tmp_path / "storage" / "x" / name) for name in ("a", "b", "untouched")]

    def write(name: str) -> None:
        Journal(tmp_path / "storage" / "x" / name).write("evaluation", split="val")

    def fail_at_the_second_run() -> None:
        with mirrored(runs, None):
            write("a")
            raise UsageError("of the second run")

    with mirrored(runs, None):
        write("a")
    assert mirror == []  # trained without MLflow
    (tmp_path / "storage" / "mlflow.db").touch()
    own = f"sqlite:///{tmp_path}/storage/mlflow.db"
    with pytest.raises(UsageError, match="of the second"):
        fail_at_the_second_run()
    with mirrored(runs, "none"):
        write("a")
    with mirrored(runs, "http://given"):
        write("b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://variable")
    with mirrored(runs, None):
        write("a")
    assert mirror == [(own, "a"), ("http://given", "b"), ("http://variable", "a")]
    with pytest.raises(UsageError, match="neither sqlite"), mirrored(runs, "mlruns"):
        write("never")
    assert not (tmp_path / "storage" / "x" / "never").exists()
