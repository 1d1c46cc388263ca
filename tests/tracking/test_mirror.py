"""The mirror's thread: what a server missed, what is not installed, and where there is nothing to do."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the mirror needs MLflow")

from raytrain.tracking.mirror import Mirror
from raytrain.tracking.mlflow import sync, sync_tree
from tests.tracking.finished_sweep import written_lines
from tests.tracking.mirrored import epoch, history, runs_of, start, state


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


def test_a_sync_from_scratch_gives_what_the_mirror_gave_line_by_line(uri: str, tmp_path: Path) -> None:
    live, scratch = tmp_path / "live" / "x", tmp_path / "scratch" / "y"
    with Mirror(uri) as mirror:
        for folder in written_lines(live):
            mirror.due(folder)
            sync(folder, uri)
    for _ in written_lines(scratch):
        pass
    for path in scratch.glob("*/journal.jsonl"):  # the same times and uids as the other one
        path.write_text(
            (live / path.parent.name / path.name).read_text().replace('"experiment": "x"', '"experiment": "y"')
        )
    assert {result.new_lines > 0 for result in sync_tree(scratch.parent, None, uri)} == {
        True,
        False,
    }  # the best one first
    lists = [[state(uri, run) for run in runs_of(uri, experiment)] for experiment in "xy"]
    assert [one["name"] for one in lists[0]] == ["s", "s-t000", "s-t001"]
    assert lists[0] == lists[1]
    sweep, best, other = lists[0]
    assert [one["status"] for one in lists[0]] == ["FINISHED", "FINISHED", "KILLED"]
    assert best["metrics"]["test/split/rsum"] == [(1, 280.0), (1, 281.0)]  # of the best checkpoint
    assert best["artifacts"].keys() == {"config.yaml", "rerank.json", "evaluation/test.json"}
    assert json.loads(best["artifacts"]["evaluation/test.json"]) == {"metrics": {"rsum": 281.0}}
    assert sweep["artifacts"].keys() == {"config.yaml", "space.json"}
    assert other["artifacts"].keys() == {"config.yaml"}
    assert [name for name, _ in best["inputs"]] == ["emoji/test", "emoji/train", "emoji/val"]


def test_a_mirror_without_mlflow_warns_and_lets_the_run_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    start(tmp_path / "x" / "a")
    with (
        pytest.warns(RuntimeWarning, match=r"\.\[mlflow\]"),
        Mirror("http://host") as mirror,
    ):
        mirror.due(tmp_path / "x" / "a")


def test_a_mirror_of_nothing_does_nothing(tmp_path: Path) -> None:
    with Mirror(None) as mirror:
        mirror.due(tmp_path)
    assert os.listdir(tmp_path) == []
