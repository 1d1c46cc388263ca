from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.errors import Problem
from tests.review.made_sweeps import small_sweep


def test_a_leaderboard_is_of_the_storage_and_experiment_that_were_named(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("raytrain.review.prices.prices_of", lambda *given: given)
    board = SimpleNamespace(text="a table", rows=[], counts={}, left_out=[], sweeps=[], skipped=[], write=calls.append)
    monkeypatch.setattr("raytrain.review.write.read_leaderboard", lambda *given: calls.append(given) or board)
    assert main(["leaderboard"]) == 0
    assert main(["leaderboard", "--storage", "s", "--experiment", "e", "--out", "o", "--prices", "p.yaml"]) == 0
    assert calls == [("runs", None, ("runs", None)), "runs", ("s", "e", ("s", "p.yaml")), "o"]


def test_track_sync_mirrors_an_experiment_to_the_store_that_was_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    fault = Problem("runs/emoji/c", None, "not taken: locked", "The other runs were mirrored.")

    def sync_tree(*given: Any, failed: list[Problem], skipped: list[Problem]) -> list[str]:
        calls.append(given)
        failed += faults
        return ["a", "b"]

    faults: list[Problem] = []
    monkeypatch.setattr("raytrain.tracking.mlflow.sync_tree", sync_tree)
    assert main(["track", "sync", "--experiment", "emoji", "--uri", "http://host:1", "--json"]) == 0
    answer = {"uri": "http://host:1", "runs": 2, "failed": [], "skipped": [], "exit_code": 0}
    assert json.loads(capsys.readouterr().out) == answer
    assert calls == [("runs", "emoji", "http://host:1")]
    faults.append(fault)
    assert main(["track", "sync", "--experiment", "emoji", "--uri", "http://host:1"]) == 1
    assert "runs/emoji/c: not taken: locked" in capsys.readouterr().err
    assert main(["track", "sync"]) == 2
    assert "missing option '--experiment'; `raytrain track sync --help`" in capsys.readouterr().err


def test_a_price_table_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("cost", "leaderboard"):
        assert main([verb, "--prices", "nowhere.yaml"]) == 2
        assert "nowhere.yaml" in capsys.readouterr().err


READING = (["leaderboard"], ["cost"], ["track", "sync"], ["watch", "s", "--once"])
"""The verbs that read a storage."""


@pytest.mark.parametrize("verb", READING, ids=lambda verb: verb[0])
def test_an_experiment_that_is_not_there_leaves_the_page_as_it_was(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_sweep(tmp_path)
    (tmp_path / "no_runs").mkdir()
    (tmp_path / "leaderboard.html").write_text("the page of e")
    for name, suggestion in (("ee", "; did you mean 'e'?"), ("other", "."), ("no_runs", ".")):
        assert main([*verb, "--storage", str(tmp_path), "--experiment", name]) == 2
        assert f"no experiment '{name}'{suggestion} Experiments: e." in capsys.readouterr().err
    assert (tmp_path / "leaderboard.html").read_text() == "the page of e"
    assert {path.name for path in tmp_path.iterdir()} == {"e", "no_runs", "leaderboard.html"}


@pytest.mark.parametrize("verb", READING, ids=lambda verb: verb[0])
def test_a_storage_that_is_not_there_is_not_made(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    experiment = ["--experiment", "e"] if verb[0] == "track" else []
    assert main([*verb, "--storage", str(tmp_path / "rnus"), *experiment]) == 2
    assert f"no folder {tmp_path / 'rnus'}: --storage names" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
