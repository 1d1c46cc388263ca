"""The pages of a report: valid, escaped, in order, and Markdown of the same numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from raytrain.studies.examples import Element, Example, Nearest, PointMap
from raytrain.studies.report import StudyReport, build_report
from raytrain.studies.report_text import value_text
from raytrain.studies.write_report import to_html, to_markdown, write_report
from tests.review.page_checks import check_page
from tests.studies.in_process import margins
from tests.studies.reports import made_study


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> StudyReport:
    return build_report(margins(), made_study(tmp_path_factory.mktemp("study")))


def test_the_page_is_valid_and_self_contained(report: StudyReport) -> None:
    page = to_html(report)
    check_page(page)
    assert page.count("<svg") == 3  # two measures and the scatter
    assert "&lt;b&gt;markup" in page and "<b>markup" not in page


def test_the_page_begins_with_the_question_and_the_verdict(report: StudyReport) -> None:
    page = to_html(report)
    places = [
        page.index(text)
        for text in ("Study margins", "Does the margin matter?", "Agrees with the paper", "A smaller margin is worse",
                     "0.1 falls behind 0.2.", "Results", "Plots", "Notes", "What this rests on")
    ]  # fmt: skip
    assert places[0] < places[1] < places[2] < places[3]
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Claims", "Results", "Plots", "Notes", "What this rests on"]


def test_markdown_has_the_same_numbers(report: StudyReport) -> None:
    text = to_markdown(report, "report.png")
    for row in report.rows:
        assert f"| {row.variant.name}" in text and value_text(row.cells["rsum"]) in text
    assert "**Agrees with the paper: the claim holds.**" in text
    assert "(baseline)" in text and "](report.png)" in text and "rank correlation" in text
    assert "](" not in to_markdown(report)
    assert "- Judged on: validation alone" in text


def test_names_cannot_break_the_table(report: StudyReport) -> None:
    first = report.rows[0]
    named = replace(report, rows=[replace(first, variant=replace(first.variant, name="a | b"))])
    assert "| a \\| b |" in to_markdown(named)


def test_a_report_without_claims_or_runs_is_a_page_too(report: StudyReport) -> None:
    study = replace(margins(), claims=(), scatter=None, notes=())
    empty = [
        replace(row, seeds=0, cells={
            name: replace(cell, mean=None, sd=None, difference=None, interval=None) for name, cell in row.cells.items()
        })
        for row in report.rows
    ]  # fmt: skip
    bare = replace(report, study=study, rows=empty, decided=[], outcome=None, scatter=None, sentence="Open.")
    check_page(to_html(bare))
    assert "<svg" not in to_html(bare) and "## Claims" not in to_markdown(bare)


def test_files_are_written_where_they_are_wanted(report: StudyReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PNGs are matplotlib's")
    names = [path.name for path in write_report(report, tmp_path / "new", png=True)]
    assert names == ["report.png", "report.md", "report.html"]
    assert (tmp_path / "new" / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "](report.png)" in (tmp_path / "new" / "report.md").read_text(encoding="utf-8")


def test_examples_and_maps_are_shown_and_escaped(report: StudyReport) -> None:
    elements = [Element("1", [Nearest("a <i>dog</i>"), Nearest("dog.jpg", "dog.jpg")], [[1.0, 0.5], [0.0, 0.25]])]
    shown = replace(
        report,
        examples=[Example("one & two", elements, "dog.jpg"), Example("a caption", elements)],
        maps=[("margin 0.2", PointMap("Elements", {"a": [(0.0, 1.0), (2.0, 3.0)]}))],
        table=None,
    )
    page = to_html(shown)
    check_page(page)
    assert page.count('class="cells"') == 2 and 'fill-opacity="0.25"' in page
    assert "a &lt;i&gt;dog" in page and "dog.jpg: one &amp; two" in page and "Elements: margin 0.2, first seed" in page
