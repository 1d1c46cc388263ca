"""`raytrain report`: what it prints, where the page lies, and what MLflow gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.tracking.journal import Journal
from tests.review.made_reports import made_sweep
from tests.review.made_runs import make_run
from tests.review.page_checks import check_page


def test_a_report_answers_with_its_path_and_its_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_sweep(tmp_path, trials=3)
    assert main(["report", "search", "--storage", str(tmp_path), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["path"] == str(tmp_path / "page.html") and answer["kind"] == "sweep"
    assert "among 3 trials" in answer["verdict"]
    check_page((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_damaged_lines_are_named_and_the_report_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made_sweep(tmp_path, trials=3)
    with (folder.parent / "search-t001" / "journal.jsonl").open("a") as journal:
        journal.write('{"event": "party"}\n')
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    printed = capsys.readouterr()
    assert "unknown event 'party'" in printed.err and f"Report: {tmp_path / 'page.html'}" in printed.out


@pytest.mark.parametrize(("words", "message"), [
    (["report", "serch"], "no run, sweep or experiment 'serch'; did you mean 'search'?"),
    (["report", "search", "--out", "x.html", "--tracking", "sqlite:////x/y.db"], "--tracking goes without --out"),
    (["report"], "missing argument"),
])  # fmt: skip
def test_a_wrong_command_writes_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_sweep(tmp_path, trials=2)
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--storage", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_mlflow_gets_the_page_of_a_run_where_there_is_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored: list[tuple[str, list[str]]] = []

    class Mirror:
        def __init__(self, uri: str) -> None:
            self.uri = uri

        def __enter__(self) -> Mirror:
            return self

        def __exit__(self, *error: Any) -> None: ...

        def due(self, folder: Path) -> None:
            mirrored.append((self.uri, [event["event"] for event in Journal(folder).read()][-1:]))

    monkeypatch.setattr("raytrain.tracking.mirror.Mirror", Mirror)
    monkeypatch.setattr("raytrain.api.mirroring.tracking_uri", lambda tracking, storage: tracking or "sqlite:////own")
    monkeypatch.setattr("raytrain.api.mirroring._store_of", lambda run, tracking: tracking)
    make_run(tmp_path / "e" / "a")
    assert main(["report", str(tmp_path / "e" / "a"), "--tracking", "http://host:1"]) == 0
    assert mirrored == [("http://host:1", ["report"])]
    assert main(["report", str(tmp_path / "e" / "a")]) == 0  # no store
    assert main(["report", str(tmp_path / "e"), "--tracking", "http://host:1"]) == 0  # no run of MLflow
    assert len(mirrored) == 1 and (tmp_path / "e" / "report.html").exists()
