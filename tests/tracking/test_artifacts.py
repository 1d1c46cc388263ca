"""Files that MLflow gets of a run: those that its journal names and vouches for, once, and never large ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from raytrain.evaluation.contact_sheet import write_sheet
from raytrain.evaluation.digest import digest
from raytrain.tracking.artifacts import MAX_FILE_BYTES, REPORT, SENT, files_of, send
from tests.review.made_sheets import a_sheet

CONFIG = {"name": "a", "data.table": "/data/emoji", "optim.decay_epochs": [5, 8], "search.seed": 0}
START = {"event": "start", "time": 1.0, "config": CONFIG}


def evaluation(folder: Path, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / name).write_text(json.dumps(content, indent=1))
    event = {"event": "evaluation", "time": 2.0, "split": "test", "metrics": {"test/rsum": 1.0}}
    return event | {"file": name, "digest": digest(dict(content))}


def test_settings_evaluations_and_searches_are_sent_and_ranks_are_not(tmp_path: Path) -> None:
    events = [START, evaluation(tmp_path, "test.json", {"rsum": 1.0})]
    (tmp_path / "evaluation" / "val.json").write_text("{}")
    for name in ("evaluation/test.ranks.npz", "rerank.json", "rerank.svg", "space.json", "study.journal"):
        (tmp_path / name).write_text("x")
    files, too_large = files_of(tmp_path, events)
    assert (set(files), too_large) == ({"config.yaml", "evaluation/test.json"}, [])
    settings = yaml.safe_load(files["config.yaml"])
    assert settings == {"name": "a", "data": {"table": "/data/emoji"}, "optim": {"decay_epochs": [5, 8]}}
    events.append({"event": "rerank", "time": 3.0, "files": {"val.json": digest({})}})
    assert files_of(tmp_path, events)[0].keys() - files.keys() == {"rerank.json", "rerank.svg", "evaluation/val.json"}
    assert files_of(tmp_path, [START | {"kind": "sweep"}])[0].keys() == {"config.yaml", "space.json"}


def test_a_contact_sheet_is_sent_while_it_shows_the_evaluation(tmp_path: Path) -> None:
    events = [START, evaluation(tmp_path, "val.json", {"rsum": 1.0, "ranks_sha256": "a"})]
    (tmp_path / "evaluation" / "val.sheet.html").write_text("<!doctype html>")
    assert "evaluation/val.sheet.html" not in files_of(tmp_path, events)[0]
    for ranks, is_sent in (("a", True), ("of an earlier evaluation", False)):
        write_sheet(tmp_path / "evaluation" / "val.json", a_sheet(ranks_sha256=ranks))
        assert ("evaluation/val.sheet.html" in files_of(tmp_path, events)[0]) == is_sent


def test_the_page_of_a_report_is_sent_once_the_journal_names_it(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("<!doctype html>")
    report = {"event": "report", "time": 4.0, "file": REPORT}
    assert REPORT not in files_of(tmp_path, [START])[0]
    assert files_of(tmp_path, [START, report])[0][REPORT] == b"<!doctype html>"
    assert files_of(tmp_path, [START | {"kind": "sweep"}, report])[0][REPORT]
    assert files_of(tmp_path, [START, report | {"file": "../secret.html"}])[0].keys() == {"config.yaml"}


def test_a_file_that_was_edited_or_is_large_or_lies_elsewhere_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    large = evaluation(folder, "large.json", {"text": "x" * MAX_FILE_BYTES})
    edited, outside = evaluation(folder, "edited.json", {"rsum": 1.0}), evaluation(folder, "listed.json", [])  # type: ignore[arg-type]
    (folder / "evaluation" / "edited.json").write_text('{"rsum": 2.0}')
    events = [START, large, edited, outside, edited | {"file": "../../secret.json", "digest": None}]
    assert files_of(folder, events)[0].keys() == {"config.yaml"}
    assert files_of(folder, events)[1] == ["evaluation/large.json"]
    assert files_of(folder, [START | {"config": {"a": 1, "a.b": 2}}]) == ({}, [])  # no settings that could be written


class Client:
    """Notes what each call sends."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []

    def log_artifacts(self, run_id: str, folder: str) -> None:
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        self.calls.append({str(path.relative_to(folder)): path.read_text() for path in files})


def test_files_go_in_one_call_and_again_only_where_they_changed(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="artifacts are MLflow's")
    client, tags = Client(), dict[str, str]()
    info = SimpleNamespace(run_id="r", artifact_uri=tmp_path.as_uri())
    run = SimpleNamespace(info=info, data=SimpleNamespace(tags=tags))
    files = {"config.yaml": b"a: 1", "evaluation/test.json": b"{}"}
    tags[SENT] = send(client, run, "sqlite:////x", files)
    assert send(client, run, "sqlite:////x", files) == tags[SENT]
    tags[SENT] = send(client, run, "sqlite:////x", files | {"config.yaml": b"a: 2"})
    assert client.calls == [{"config.yaml": "a: 1", "evaluation/test.json": "{}"}, {"config.yaml": "a: 2"}]

    (tmp_path / "config.yaml").write_text("a: 2")
    (tmp_path.parent / "precious").write_text("")
    tags[SENT] = json.dumps(json.loads(tags[SENT]) | {"../precious": "0", "/etc/nothing": "0"})  # anyone may write tags
    send(client, run, "sqlite:////x", {})
    assert not (tmp_path / "config.yaml").exists() and (tmp_path.parent / "precious").exists()
    tags[SENT] = "no JSON"
    send(client, run, "sqlite:////x", files)
    assert len(client.calls) == 3
