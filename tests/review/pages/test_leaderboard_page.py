"""The HTML page: what it shows of rows, sweeps and costs, and that names cannot break out of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.review.board import Board, Comparison, Coverage, Curve, CurvePoint, Interval
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.trials import Sweep
from tests.review.made_rows import COST, made_row, made_scores
from tests.review.made_runs import write_search
from tests.review.made_sweeps import PRICES, small_sweep
from tests.review.page_checks import check_page

FINISHED = {"finished": 1}


class Cells(HTMLParser):
    """The text of every cell, by rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.keys: list[list[str]] = []
        self.shown: list[list[str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.keys.append([])
            self.shown.append([])
        elif tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")
            self.keys[-1].append(dict(attrs).get("data-v") or "")
            self.shown[-1].append(dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def test_an_empty_board_says_so() -> None:
    assert "No runs." in to_html(Board([], {}))


def test_a_row_has_a_cell_per_metric_that_sorts_by_its_value() -> None:
    interval = Interval("test", 290.0, 330.0, Coverage(seeds=True))
    row = made_row(test=made_scores(310.04, 2.0), interval=interval, seeds=[0, 1], runs=["a", "b"])
    cells = Cells(to_html(Board([row], FINISHED)))
    groups, header, first = cells.rows
    assert groups == [
        "", "", "", "", "val image to text", "val text to image", "val", "test image to text", "test text to image",
        "test", "", "", "",
    ]  # fmt: skip
    assert header == [
        "#", "Method", "K", "Seeds", *["R@1", "R@5", "R@10"] * 2, "rsum", *["R@1", "R@5", "R@10"] * 2, "rsum",
        "Worker s", "GPU s", "Commit",
    ]  # fmt: skip
    assert first == [
        "1", "DVSEa and 1 more", "4", "2", "10.0", "20.0", "30.0", "40.0", "50.0", "60.0", "300.0",
        "10.0", "20.0", "30.0", "40.0", "50.0", "60.0", "310.0 ±2.0290.0 to 330.0 over images and seeds", "30", "0",
        "c0ffee1",
    ]  # fmt: skip
    assert cells.keys[2][3] == "2" and cells.keys[2][10] == "300.0" and cells.keys[2][17] == "310.04"


def test_a_row_without_a_score_has_an_empty_cell_that_sorts_last() -> None:
    rows = [made_row(test=made_scores(310.0)), made_row(rank=2)]
    cells = Cells(to_html(Board(rows, FINISHED)))
    assert cells.rows[3][17] == cells.keys[3][17] == ""


def test_re_ranked_rows_are_marked_by_what_they_knew() -> None:
    rows = [
        made_row(rerank="cross i2t 20", transductive=True),
        made_row(rank=2, rerank="cross i2t 20 (inductive)", settings="lr=0.1"),
        made_row(rank=3),
    ]
    page = to_html(Board(rows, FINISHED))
    assert re.findall(r'<span class="tag"[^>]*>(\w+)</span>', page) == ["transductive", "inductive"]
    assert page.count("<small>re-ranked: ") == 2
    assert re.findall(r'data-rerank="(\w+)"', page) == ["transductive", "inductive", "no"]
    assert '<small class="settings">lr=0.1</small>' in page


def test_comparisons_losses_and_money_stand_where_there_are_any() -> None:
    plain = to_html(Board([made_row()], FINISHED))
    assert "against first" not in plain and "Money" not in plain
    costly = made_row(
        rank=2,
        comparison=Comparison(1, "val", -3.2, -5.9, -0.4, 0.0001),
        cost=type(COST)(30.0, 0.0, 30.0, 50.0, 0.008, "EUR"),
    )
    page = to_html(Board([made_row(), costly], FINISHED))
    assert 'title="to row 1 on val">-3.2<small>-5.9 to -0.4, p &lt; 0.001, training noise not covered</small>' in page
    assert "<small>50 lost</small>" in page and "0.01 EUR" in page


def test_only_the_best_of_several_rows_leads() -> None:
    assert to_html(Board([made_row()], FINISHED)).count('class="lead"') == 0
    assert to_html(Board([made_row(), made_row(rank=2)], FINISHED)).count('class="lead"') == 1


def test_tables_of_several_protocols_say_that_they_do_not_compare() -> None:
    several = to_html(Board([made_row(), made_row(protocol="coco/5k")], FINISHED))
    assert (
        "Rows compare within one table" in several
        and several.count("<h2>Protocol ") == 2
        and several.count('class="sentence"') == 2
    )
    assert "Rows compare within one table" not in to_html(Board([made_row()], FINISHED))


def test_methods_are_explained_once_each() -> None:
    page = to_html(Board([made_row(), made_row(rank=2), made_row(method="composed/tirg")], FINISHED))
    assert page.count("<dt>") == 2
    assert "<dt>TIRG</dt><dd>The reference gated by the text, plus a residual (Vo et al., CVPR 2019).</dd>" in page
    assert "<dl>" not in to_html(Board([made_row(method="own")], FINISHED))


def test_a_curve_is_drawn_under_its_methods_title() -> None:
    curve = Curve("dvse", "method.views", [CurvePoint(1, 300.0, 1), CurvePoint(2, 305.0, 2), CurvePoint(4, 310.0, 1)])
    page = to_html(Board([made_row()], FINISHED, [curve]))
    assert "DVSE by method.views" in page and "method.views = 2: 305.00 (2 seeds)" in page


def test_the_best_transductive_row_shows_its_temperatures(tmp_path: Path) -> None:
    tried = {side: [["off", 0, 90.0], ["cross", 4.0, 95.0]] for side in ("i2t", "t2i")}
    write_search(tmp_path, tried)
    row = made_row(rerank="cross", transductive=True, runs=["best"], folders=[str(tmp_path)])
    page = to_html(Board([made_row(), row], FINISHED))
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == [
        "Re-ranking of best, i2t", "Re-ranking of best, t2i", "Re-ranking of best, both",
    ]  # fmt: skip


def test_what_decided_a_sweep_is_shown_for_each_method_with_enough_trials() -> None:
    pytest.importorskip("optuna", reason="importances are Optuna's")
    from tests.review.test_importance import SPACE, trials

    page = to_html(Board([], {}), {"made/s": Sweep(trials(), SPACE)})
    assert "What decided sweep made/s, DVSE" in page
    assert "What decided sweep made/s, DivE" in page
    assert "What decided" not in to_html(Board([], {}), {"made/s": Sweep(trials(), {})})


def test_the_cost_of_sweeps_has_a_table_and_how_to_read_it(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="NVIDIA H100")
    page = to_html(Board([], {}), costs=sweep_costs(read_journals(tmp_path), PRICES))
    assert "Cost of the sweeps" in page and "1 complete, 1 failed, 1 pruned, 1 repeat" in page
    assert "<p>No price of NVIDIA H100: fill in the price table.</p>" in page
    assert "Cost of the sweeps" not in to_html(Board([], {}))


def test_names_cannot_break_out_of_the_page() -> None:
    evil = '<script>alert("x")</script>'
    row = made_row(
        method=evil, protocol=evil, fingerprint=evil, rerank=evil, transductive=True, settings=f'"{evil}|', commit=evil,
        runs=[evil, '" onmouseover="x'],
    )  # fmt: skip
    trial = {"number": 0, "run": evil, "params": {evil: 1}, "state": "complete", "value": 300.0, "cost": 256.0}
    sweep = Sweep([trial], {}, "index_bytes")
    page = to_html(
        Board(
            [row], {evil: 1}, [Curve(evil, evil, [CurvePoint(1, 1.0, 1), CurvePoint(2, 2.0, 1), CurvePoint(3, 3.0, 1)])]
        ),
        {evil: sweep},
    )
    assert evil not in page
    assert '" onmouseover' not in page
    assert page.count("<script>") == 1  # our own

    check_page(page)


def test_the_page_is_valid_and_fetches_nothing() -> None:
    rows = [made_row(settings="lr=0.1, " * 20), made_row(rank=2, rerank="x", transductive=True, protocol="coco/5k")]
    check_page(to_html(Board(rows, FINISHED), reports={"/f/r0": "reports/e/r0.html"}))
    check_page(to_html(Board([], {})))


def test_columns_that_do_not_fit_are_hidden_until_chosen() -> None:
    page = to_html(Board([made_row(test=made_scores(310.0))], FINISHED))
    choices = re.findall(r'class="pick\d+"( checked)?> ([^<]+)</label>', page)
    assert [name for shown, name in choices if not shown] == [
        "val image to text",
        "val text to image",
        "GPU s",
        "Commit",
    ]
    cells = Cells(page)
    narrow = [title for title, css in zip(cells.rows[1], cells.shown[1], strict=True) if "wide" not in css.split()]
    assert narrow == ["#", "Method", "rsum", "rsum"]
    # a header over several columns hides with them
    columns = {css.split()[0] for css in cells.shown[1] if css.startswith("c")}
    assert {css.split()[0] for css in cells.shown[0] if css.startswith("c")} == columns


def test_filters_stand_where_they_would_hide_something() -> None:
    assert "<form" not in to_html(Board([made_row()], FINISHED))
    rows = [made_row(), made_row(rank=2, method="vse_infinity"), made_row(rank=3, rerank="x", transductive=True)]
    page = to_html(Board(rows, FINISHED))
    assert re.findall(r'data-filter="(\w+)"', page) == ["method", "rerank"]
    assert re.findall(r'<option value="(\w+)">', page) == ["dvse", "vse_infinity", "no", "transductive"]
