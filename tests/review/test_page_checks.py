"""The checks of pages: each finds what it is for; and a whole report in chromium, by axe and with its script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.review.leaderboard import read_board
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.pages.report_page import report_html
from raytrain.review.rendering import asset, render_page
from raytrain.review.report.report import read_report
from raytrain.review.report.subject import read_subject
from tests.review.page_checks import axe_violations, check_contrast, check_page, contrast, in_chromium

CLOSING = {"left_out": [], "sweep_costs": {"headers": [], "rows": [], "notes": []}, "explanation": "", "methods": []}
PAGE = render_page(
    "leaderboard.html.j2", ("style.css",), ("script.js",), title="t", verdicts=[], summary="", written="", tables=[],
    filters=[], figures=[], **CLOSING,
)  # fmt: skip


def test_a_sound_page_passes() -> None:
    check_page(PAGE)


@pytest.mark.parametrize(("before", "after"), [
    ("<h1>", "<p><table><h1>"),
    ("</main>", '<img src="https://example.org/x.png" alt="x"></main>'),
    ("</main>", '<img src="data:image/png;base64,AA" ></main>'),
    ("</main>", '<a href="javascript:alert(1)">x</a></main>'),
    ("</main>", '<a href="//example.org">x</a></main>'),
    ("</main>", '<a href="#nowhere">x</a></main>'),
    ("</main>", "<h4>too deep</h4></main>"),
    ("</main>", "<h1>twice</h1></main>"),
    ("</main>", '<input type="text"></main>'),
    ("</main>", '<svg viewBox="0 0 1 1"></svg></main>'),
    ("</main>", "<button></button></main>"),
    ("</main>", '<p style="color:red">x</p></main>'),
    ("</main>", '<p onclick="x()">x</p></main>'),
    ("</main>", "<table><caption>c</caption><tbody><tr><th>x</th></tr></tbody></table></main>"),
    ("</main>", '<table><tbody><tr><th scope="row">x</th></tr></tbody></table></main>'),
    ("</main>", '<p id="content">x</p></main>'),
    ("</main>", "<script>more()</script></main>"),
    ("default-src 'none'", "default-src 'self'"),
    ('lang="en"', ""),
    ("--ink: #1b2330", "--ink: #bbbbbb"),
    ("<style>", "<style>@import 'x';"),
])  # fmt: skip
def test_a_fault_is_found(before: str, after: str) -> None:
    assert before in PAGE
    with pytest.raises((AssertionError, ValueError)):
        check_page(PAGE.replace(before, after, 1))


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)
    check_contrast(asset("style.css"))


ACTIONS = """
const results = {};  // the script of the page has run: this one stands behind it
const rows = () => [...document.querySelectorAll(".board tbody tr")].filter(row => !row.hidden).length;
results.before = rows();
results.fits = [...document.querySelectorAll(".board .card")].map(card => card.scrollWidth <= card.clientWidth);
const select = document.querySelector("select[data-filter=method]");
select.value = "vse_infinity";
select.dispatchEvent(new Event("change", {bubbles: true}));
results.filtered = rows();
results.said = document.querySelector(".filters output").value;
const slider = document.querySelectorAll(".brush input")[document.querySelectorAll(".brush input").length - 2];
slider.value = 90;
slider.dispatchEvent(new Event("input", {bubbles: true}));
results.lines = document.querySelectorAll(".parallel [data-at]:not(.out)").length;
results.trials = [...document.querySelectorAll("[data-trials] tbody tr")].filter(row => !row.hidden).length;
const head = [...document.querySelectorAll("[data-trials] th button")].find(button => button.textContent === "Value");
head.click();
head.click();
results.sorted = head.closest("th").getAttribute("aria-sort");
"""


@pytest.fixture(scope="module")
def page(experiment: Path) -> str:
    return report_html(read_report(read_subject(str(experiment))))


def test_axe_finds_nothing_in_a_report_on_a_narrow_screen_in_the_dark(page: str, tmp_path: Path) -> None:
    assert axe_violations(page, tmp_path, width=500, dark=True) == []


def test_axe_finds_nothing_in_a_leaderboard(experiment: Path, tmp_path: Path) -> None:
    assert axe_violations(to_html(read_board(experiment.parent)), tmp_path, width=1280) == []


def test_the_script_filters_brushes_and_sorts_under_the_pages_policy(page: str, tmp_path: Path) -> None:
    results = json.loads(in_chromium(page, tmp_path, ACTIONS, width=1280))
    total = page.count('data-method="')
    assert results["before"] == total > results["filtered"] == 1
    assert results["said"] == f"1 of {total} rows"
    assert 0 < results["lines"] == results["trials"] < 11
    assert results["sorted"] == "ascending"
    assert results["fits"] and all(results["fits"])  # no table is wider than the window
