"""The mirror's thread: what a server missed, what is not installed, and where there is nothing to do."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the mirror needs MLflow")

from raytrain.tracking.mirror import Mirror
from raytrain.tracking.mlflow import sync
from tests.tracking.mirrored import epoch, history, runs_of, start


def test_what_a_server_missed_is_replayed_to_the_same_state(uri: str, tmp_path: Path, away: str) -> None:
    missed, seen = tmp_path / "away" / "missed", tmp_path / "away" / "seen"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mirrors = [Mirror(away), Mirror(uri)]
        for folder, mirror in zip((missed, seen), mirrors, strict=True):
            journal = start(folder)
            mirror.due(folder)
            for number in range(1, 4):
                epoch(journal, number, number)
                mirror.due(folder)
            journal.write("end", status="finished", error=None, metrics={})
            mirror.due(folder)
        assert [mirror.close(60) for mirror in mirrors] == [False, True]
    messages = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
    assert len(messages) == 1
    assert "raytrain track sync" in messages[0]
    assert [run.info.run_name for run in runs_of(uri, "away")] == ["seen"]

    sync(missed, uri)
    runs = {run.info.run_name: run for run in runs_of(uri, "away")}
    for name in ("val/rsum",):
        assert history(uri, runs["missed"], name) == history(uri, runs["seen"], name) == [(1, 1), (2, 2), (3, 3)]
    assert runs["missed"].data.params == runs["seen"].data.params
    assert runs["missed"].info.status == runs["seen"].info.status == "FINISHED"


def test_a_mirror_without_mlflow_warns_and_lets_the_run_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    start(tmp_path / "x" / "a")
    with (
        pytest.warns(RuntimeWarning, match=r"raytrain\[mlflow\]"),
        Mirror("http://host") as mirror,
    ):
        mirror.due(tmp_path / "x" / "a")


def test_a_mirror_of_nothing_does_nothing(tmp_path: Path) -> None:
    with Mirror(None) as mirror:
        mirror.due(tmp_path)
    assert os.listdir(tmp_path) == []
