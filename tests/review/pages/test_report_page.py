"""The page of a report: valid, self-contained, small, escaped; it has a section for all that was recorded."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from markupsafe import Markup

from raytrain.review.pages.report_page import MOST_BYTES, MOST_RUNS, ContactSheets, report_html
from raytrain.review.report.report import read_report
from raytrain.review.report.subject import read_subject
from tests.review.made_reports import made_sweep
from tests.review.made_runs import make_run
from tests.review.page_checks import check_page


def page_of(folder: Path, contact_sheets: ContactSheets | None = None) -> str:
    return report_html(read_report(read_subject(str(folder))), contact_sheets)


@pytest.fixture(scope="module")
def page(experiment: Path) -> str:
    return page_of(experiment)


def test_the_page_is_valid(page: str) -> None:
    check_page(page)


def test_the_verdict_comes_first_then_the_table_then_the_curves(page: str) -> None:
    places = [
        page.index(text) for text in ("<h1>Experiment made", 'class="sentence"', 'class="board"', 'id="training"')
    ]
    assert places == sorted(places)


def test_every_part_that_was_recorded_has_a_section(page: str) -> None:
    headings = re.findall(r"<h2>([^<]+?)(?: <code>.*?</code>)?</h2>", page)
    assert headings == [
        "Protocol split/test", "Training", "Sweep search", "One setting, all else alike", "Diagnostics", "Re-ranking",
        "Runs",
        "Cost of the sweeps",
        "How to read it", "Methods",
    ]  # fmt: skip
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert captions[:5] == [
        "val/rsum by epoch", "Training loss by epoch",
        "Slots over time: triangles are restarts, crosses kills and failures, grey is idle", "Trials of sweep search",
        "Sweep search: value against bytes per image",
    ]  # fmt: skip
    assert "All trials; the best quarter in colour" in captions
    assert {"Value by method.score", "Value by method.views", "Value by optim.lr"} <= set(captions)
    assert "mean cosine within image sets; 1 is collapse" in captions
    assert "Recall by predicted uncertainty, dvse-s0, split/test" in captions
    assert "search-t001 went on after epoch 1" in page and "search-t003: failed" in page


def test_each_row_links_to_the_section_of_its_run(page: str) -> None:
    links = re.findall(r'<th scope="row"[^>]*><a href="#(run-[^"]+)"', page)
    assert links and set(links) <= set(re.findall(r'<section id="(run-[^"]+)"', page))
    assert page.count('<th scope="row"') == len(links)


def test_a_run_by_itself_draws_its_curves_once(experiment: Path) -> None:
    page = page_of(experiment / "search-t001")
    check_page(page)
    assert page.count("<figcaption>val/rsum") == 1 and "<h2>Restarts</h2>" in page
    assert "<h1>Run search-t001</h1>" in page


def test_a_run_that_has_not_finished_carries_its_state(experiment: Path) -> None:
    page = page_of(experiment / "search-t003")
    check_page(page)
    assert '<h1>Run search-t003 <span class="tag">failed</span></h1>' in page
    assert "ran out of memory" in page


def test_a_sweep_without_any_trial_has_a_page(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=1, ended=False)
    page = page_of(folder)
    check_page(page)
    assert "has no value yet: 0 trials" in page
    (folder / "journal.jsonl").write_text("")
    check_page(page_of(folder))


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    make_run(tmp_path / "e" / "a", name=evil, **{"data.table": evil, "method.kind": evil})
    folder = made_sweep(tmp_path, trials=4)
    for journal in folder.parent.glob("*/journal.jsonl"):
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        for line in lines:
            line |= {"error": evil} if line["event"] == "end" else {"run": evil} if line["event"] == "start" else {}
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for about in (tmp_path / "e", folder, folder.parent / "search-t003"):
        page = page_of(about)
        assert evil not in page and page.count("<script>") == 1
        check_page(page)


def test_contact_sheets_have_their_place_and_are_left_out_where_they_are_too_large(experiment: Path) -> None:
    rooms: list[int] = []

    def section(room: int) -> Markup:
        rooms.append(room)
        return Markup("<h3>Random queries</h3><p>sheet</p>")

    page = page_of(experiment / "dvse-s0", ContactSheets(section, ("figure.css",)))
    check_page(page)
    assert '<section id="contact-sheets">' in page and '<a href="#contact-sheets">' in page
    assert "<h3>Random queries</h3>" in page and MOST_BYTES - 200_000 < rooms[0] < MOST_BYTES
    large = page_of(experiment / "dvse-s0", ContactSheets(lambda room: Markup("x" * (room + 1))))
    assert len(large) < MOST_BYTES and "larger than 2 MB and are left out" in large
    for none in (None, ContactSheets(lambda room: Markup(""))):
        assert "contact-sheets" not in page_of(experiment / "dvse-s0", none)


def test_500_trials_stay_within_2_mb_and_a_few_seconds(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=500, epochs=10)
    report = read_report(read_subject(str(folder)))
    began = time.process_time()
    page = report_html(report)
    assert time.process_time() - began < 10.0  # about 2 s
    assert len(page.encode()) < MOST_BYTES
    assert page.count("data-run=") == 2 * (500 - 1) + 1  # lines and rows; the failed trial has no line
    assert page.count('<section id="run-') >= MOST_RUNS
