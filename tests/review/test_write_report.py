"""Writing a report: where it lies, what it touches, what it answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.evaluation.contact_sheet import write_sheet
from raytrain.review.report.subject import read_subject
from raytrain.review.write_report import write_report
from raytrain.tracking.journal import Journal
from tests.review.made_reports import made_sweep
from tests.review.made_runs import make_run
from tests.review.made_sheets import a_sheet


def test_a_report_lies_beside_its_subject_and_the_journal_names_it(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    answer = write_report(read_subject(str(tmp_path / "e" / "a")))
    assert answer["path"] == str(tmp_path / "e" / "a" / "report.html") and Path(answer["path"]).exists()
    assert answer["bytes"] == len(Path(answer["path"]).read_bytes())
    assert json.loads(json.dumps(answer))["kind"] == "run" and answer["rows"] == 1
    last = Journal(tmp_path / "e" / "a").read()[-1]
    assert (last["event"], last["file"]) == ("report", "report.html")
    again = write_report(read_subject(str(tmp_path / "e" / "a")))
    assert again["verdict"] == answer["verdict"] and again["skipped"] == []


def test_a_report_shows_the_contact_sheets_of_the_best_run_that_has_some(tmp_path: Path) -> None:
    for name, strength in (("low", 0.5), ("high", 2.0), ("none", 4.0)):
        make_run(tmp_path / "e" / name, strength=strength)
    subject = str(tmp_path / "e")
    assert "Contact sheets" not in Path(write_report(read_subject(subject))["path"]).read_text()
    for name in ("low", "high"):
        file = tmp_path / "e" / name / "evaluation" / "test.json"
        write_sheet(file, a_sheet(f"caption of {name}", ranks_sha256=json.loads(file.read_text())["ranks_sha256"]))
    page = Path(write_report(read_subject(subject))["path"]).read_text(encoding="utf-8")
    assert "<p>Of high.</p>" in page and "caption of high" in page and "caption of low" not in page
    assert ".pictures > .right" in page


def test_another_place_leaves_the_runs_as_they_were(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=3)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    answer = write_report(read_subject(str(folder)), tmp_path / "new" / "page.html")
    assert answer["path"] == str(tmp_path / "new" / "page.html")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path in before} == before


def test_the_page_of_an_experiment_is_in_no_journal(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=3).parent
    answer = write_report(read_subject(str(folder)))
    assert answer["path"] == str(folder / "report.html")
    assert all(event["event"] != "report" for event in Journal(folder / "search").read())


def test_the_journal_of_what_may_go_on_is_left_alone(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=3, ended=False)
    for about in (folder, folder.parent / "search-t002"):
        before = (about / "journal.jsonl").read_bytes()
        write_report(read_subject(str(about)))
        assert (about / "report.html").exists() and (about / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_report_keeps_no_lock_on_the_journal(tmp_path: Path, kind: str) -> None:
    from raytrain.tracking.journal import has_writer

    folder = made_sweep(tmp_path, trials=2)
    about = folder if kind == "sweep" else folder.parent / "search-t000"
    write_report(read_subject(str(about)))
    assert not has_writer(about)
