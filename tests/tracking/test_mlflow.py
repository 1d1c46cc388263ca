"""MLflow shows what the journals say: once, after restarts, and closed when abandoned."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the mirror needs MLflow")

from raytrain.tracking.journal import Journal
from raytrain.tracking.mlflow import CLOSED, LINES, PARENT, sync, sync_tree
from tests.tracking.mirrored import CONFIG, client, epoch, history, runs_of, start


def test_a_run_appears_once_with_params_tags_metrics_and_status(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "once" / "a"
    journal = start(folder, **{f"many.{i}": i for i in range(230)})
    for number in range(1, 4):
        epoch(journal, number, 100.0 * number)
    journal.write("rerank", params={"mode": "cross", "i2t": 20.0, "t2i": None}, metrics={"rerank/val/rsum": 310.0})
    journal.write("evaluation", split="test", metrics={"test/recall@1": 12.5}, protocol="split/test", file="test.json")
    journal.write("end", status="finished", error=None, metrics={})

    first = sync(folder, uri)
    assert (first.lines, first.new_lines, first.status) == (7, 7, "FINISHED")
    second = sync(folder, uri)
    assert (second.run_id, second.lines, second.new_lines) == (first.run_id, 7, 0)

    (run,) = runs_of(uri, "once")
    assert run.info.run_name == "a"
    assert len(run.data.params) == 230 + len(CONFIG)
    assert run.data.params["optim.lr"] == "0.0005"
    assert run.data.params["data.text_features"] == "null"
    assert len(run.data.params["long"]) == 500
    assert {k: run.data.tags[k] for k in ("commit", "method", "seed")} == {
        "commit": "abc123",
        "method": "dvse",
        "seed": "7",
    }
    assert run.data.tags["rerank.i2t"] == "20.0"
    assert history(uri, run, "val/rsum") == [(1, 100), (2, 200), (3, 300)]
    assert history(uri, run, "rerank/val/rsum") == [(3, 310)]
    assert "train/loss" not in run.data.metrics  # it was not a number
    assert run.data.metrics["test/recall_at_1"] == 12.5  # MLflow takes no @
    written = [m.timestamp for m in client(uri).get_metric_history(run.info.run_id, "val/rsum")]
    assert written[0] == round(journal.read()[1]["time"] * 1000)


def test_a_restarted_run_is_opened_again_and_a_kill_between_two_writes_doubles_nothing(
    uri: str, tmp_path: Path
) -> None:
    folder = tmp_path / "again" / "a"
    journal = start(folder)
    epoch(journal, 1, 100)
    journal.write("end", status="interrupted", error="Interrupted: stop", metrics={})
    assert sync(folder, uri).status == "KILLED"
    journal.write("resume", uid="uid-again-a", epoch=1, checkpoint="step-10")
    epoch(journal, 2, 200)
    assert sync(folder, uri).status == "RUNNING"
    journal.write("end", status="finished", error=None, metrics={})
    assert sync(folder, uri).status == "FINISHED"

    (run,) = runs_of(uri, "again")
    client(uri).set_tag(run.info.run_id, LINES, "0")  # as if the last write had been cut off
    sync(folder, uri)
    assert history(uri, run, "val/rsum") == [(1, 100), (2, 200)]
    assert len(runs_of(uri, "again")) == 1


def test_a_trial_brings_its_sweep_along_and_hangs_under_it(uri: str, tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "z-sweep"
    start(sweep, kind="sweep")
    trial = tmp_path / "sweeps" / "trial-0"
    start(trial, parent="uid-sweeps-z-sweep").write("end", status="pruned", error=None, metrics={})
    orphan = tmp_path / "sweeps" / "orphan"
    start(orphan, parent="uid-of-nobody")
    result = sync(trial, uri)
    sync(orphan, uri)
    runs = {run.info.run_name: run for run in runs_of(uri, "sweeps")}
    assert set(runs) == {"z-sweep", "trial-0", "orphan"}
    assert runs["trial-0"].data.tags[PARENT] == runs["z-sweep"].info.run_id
    assert runs["trial-0"].data.tags["raytrain.status"] == "pruned"
    assert result.status == "FINISHED"
    assert PARENT not in runs["orphan"].data.tags

    Journal(sweep).write("trial", number=0, run="trial-0", params={}, state="complete", value=300.0, epochs=2)
    Journal(sweep).write("trial", number=1, run="trial-1", params={}, state="complete", value=290.0, epochs=2)
    sync(sweep, uri)
    assert history(uri, runs["z-sweep"], "sweep/best") == [(0, 300), (1, 300)]


def test_abandoned_runs_are_closed_and_live_ones_are_not(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "stale"
    start(here / "sweep", kind="sweep").write("end", status="finished", error=None, metrics={})
    start(here / "trial", parent="uid-stale-sweep")
    start(here / "killed")
    alive = start(here / "alive")  # this process holds its journal
    real = time.time
    assert {r.folder.name for r in sync_tree(tmp_path, "stale", uri, stale_after_s=3600) if r.status == "KILLED"} == {
        "trial"
    }
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    results = {r.folder.name: r.status for r in sync_tree(tmp_path, "stale", uri, stale_after_s=3600)}
    assert results == {"sweep": "FINISHED", "trial": "KILLED", "killed": "KILLED", "alive": "RUNNING"}
    closed = {run.info.run_name: run.data.tags.get(CLOSED, "") for run in runs_of(uri, "stale")}
    assert "sweep has ended" in closed["trial"]
    assert "silent" in closed["killed"]

    # nothing new: it stays closed; a new line: it is open again
    assert sync(here / "killed", uri).status == "KILLED"
    epoch(Journal(here / "killed"), 1, 1.0)
    assert sync(here / "killed", uri).status == "RUNNING"
    alive.write("end", status="finished", error=None, metrics={})


def test_a_folder_without_a_start_is_no_run(uri: str, tmp_path: Path) -> None:
    assert sync(tmp_path, uri).run_id is None
    Journal(tmp_path / "x" / "y").write("epoch", epoch=1, metrics={})
    assert sync(tmp_path / "x" / "y", uri).run_id is None
