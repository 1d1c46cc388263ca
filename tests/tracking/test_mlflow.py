"""MLflow shows what the journals say: once, after restarts, and closed when abandoned."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the mirror needs MLflow")

from raytrain.tracking.journal import Journal
from raytrain.tracking.mlflow import ARTIFACTS, CLOSED, FORM, LINES, NOTE, PARENT, runs_page, sync, sync_tree
from raytrain.tracking.uri import page_of, sqlite_path
from tests.tracking.finished_sweep import written_lines
from tests.tracking.mirrored import CONFIG, artifacts, client, epoch, history, runs_of, start, state


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
    assert run.data.metrics["test/split/recall_at_1"] == 12.5  # MLflow takes no @
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
    assert result.status == "KILLED"  # and not green, as what finished
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


def test_the_parent_names_and_links_its_best_run_and_forgets_an_earlier_one(uri: str, tmp_path: Path) -> None:
    for _ in written_lines(tmp_path / "parent"):
        pass
    sync(tmp_path / "parent" / "s", uri)  # alone: it brings its best trial along
    runs = {run.info.run_name: run for run in runs_of(uri, "parent")}
    assert set(runs) == {"s", "s-t000"}
    tags, best = runs["s"].data.tags, runs["s-t000"].info
    assert (tags["best.run"], tags["best.run_id"], tags["best.optim.lr"]) == ("s-t000", best.run_id, "0.0005")
    assert f"[s-t000]({page_of(best.experiment_id, best.run_id)}) leads" in tags[NOTE]
    assert runs["s"].data.metrics["best/val/rsum"] == 300.0
    assert runs["s-t000"].data.tags["mlflow.source.name"] == tags["mlflow.source.name"] == "raytrain sweep"
    assert (tags["mlflow.user"], tags["mlflow.source.git.commit"]) == ("ada", "abc123")
    assert "Settings tried by s: optim.lr 0.0005." in runs["s-t000"].data.tags[NOTE]

    better = {"number": 2, "run": "s-t002", "params": {"method.views": 4}, "state": "complete", "value": 400.0}
    Journal(tmp_path / "parent" / "s").write("resume", uid="uid-parent-s")
    Journal(tmp_path / "parent" / "s").write("trial", **better)
    sync(tmp_path / "parent" / "s", uri)
    (sweep,) = (run for run in runs_of(uri, "parent") if run.info.run_name == "s")
    assert {name for name in sweep.data.tags if name.startswith("best.")} == {"best.run", "best.method.views"}
    assert "s-t002 leads so far" in sweep.data.tags[NOTE]


def test_artifacts_lie_beside_the_store_and_data_sets_point_at_the_table(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # where MLflow would put them
    folder = tmp_path / "my storage" / "placed" / "a"
    start(folder).write("evaluation", split="test", protocol="split/test", metrics={"test/rsum": 1.0})
    sync(folder, uri)
    (run,) = runs_of(uri, "placed")
    assert list(elsewhere.iterdir()) == []
    assert artifacts(run).keys() == {"config.yaml"}
    store = sqlite_path(uri)
    assert store is not None
    files = store.parent / ARTIFACTS / "placed" / run.info.run_id / "artifacts"
    hostile = tmp_path / "my storage" / "hostile" / "b"
    start(hostile).close()
    written = (hostile / "journal.jsonl").read_text()
    (hostile / "journal.jsonl").write_text(written.replace('"experiment": "hostile"', '"experiment": "../../outside"'))
    sync(hostile, uri)
    assert not (store.parents[1] / "outside").exists() and (store.parent / ARTIFACTS / "hostile").is_dir()
    assert (files / "config.yaml").exists()
    assert client(uri).list_artifacts(run.info.run_id)[0].path == "config.yaml"
    import mlflow.data

    inputs = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert {context: dataset.name for context, dataset in inputs.items()} == {
        "training": "emoji/train",
        "validation": "emoji/val",
        "test": "emoji/test",
    }
    assert mlflow.data.get_source(inputs["test"]).uri == "/data/emoji"
    same = f"dataset.digest = '{'f' * 36}' AND dataset.name = 'emoji/test'"
    assert [one.info.run_id for one in client(uri).search_runs([run.info.experiment_id], same)] == [run.info.run_id]


def test_an_experiment_that_is_there_keeps_its_place_and_a_run_of_an_earlier_mirror_is_completed(
    uri: str, tmp_path: Path
) -> None:
    place = tmp_path / "before"
    client(uri).create_experiment("kept", artifact_location=str(place))
    folder = tmp_path / "kept" / "a"
    journal = start(folder)
    epoch(journal, 1, 100)
    first = sync(folder, uri)
    assert (place / str(first.run_id) / "artifacts" / "config.yaml").exists()
    for tag in (FORM, NOTE, "mlflow.user"):
        client(uri).delete_tag(first.run_id, tag)
    second = sync(folder, uri)
    assert (second.run_id, second.new_lines) == (first.run_id, 2)
    (run,) = runs_of(uri, "kept")
    assert run.data.tags["mlflow.user"] == "ada" and run.data.tags[NOTE]
    assert history(uri, run, "val/rsum") == [(1, 100)]


def test_a_page_is_known_of_what_was_mirrored_here(uri: str, tmp_path: Path) -> None:
    assert runs_page(uri, "paged") is None
    sync(start(tmp_path / "paged" / "a").path.parent, uri)
    (run,) = runs_of(uri, "paged")
    page = runs_page(uri, "paged")
    assert page and page.endswith(f"/#/experiments/{run.info.experiment_id}/runs?workflowType=machine_learning")


def test_a_sync_from_scratch_gives_what_a_live_mirror_gave_line_by_line(uri: str, tmp_path: Path) -> None:
    live, scratch = tmp_path / "live" / "x", tmp_path / "scratch" / "y"
    for folder in written_lines(live):
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
