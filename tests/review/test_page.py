"""The HTML page: what it shows of rows, sweeps and costs, and that names cannot break out of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.review.board import Board, Comparison, Coverage, Curve, Interval
from raytrain.review.page import front_figure, to_html
from raytrain.review.trials import Sweep
from tests.review.made_rows import COST, made_row, made_scores
from tests.review.made_runs import write_search
from tests.review.made_sweeps import PRICES, small_sweep

FINISHED = {"finished": 1}


class Cells(HTMLParser):
    """The text of every cell, by rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.keys: list[list[str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.keys.append([])
        elif tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")
            self.keys[-1].append(dict(attrs).get("data-v") or "")

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
        "", "val image to text", "val text to image", "val", "test image to text", "test text to image", "test",
        "cost per run", "",
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


def test_bars_start_below_the_lowest_row_and_end_at_the_best() -> None:
    rows = [made_row(val=made_scores(rsum), transductive=rsum == 340, rerank="x" if rsum == 340 else None)
            for rsum in (340.0, 320.0)]  # fmt: skip
    page = to_html(Board(rows, FINISHED))
    assert re.findall(r'<i( class="warm")? style="width:calc\(([\d.]+)% - 16px\)"', page) == [
        (' class="warm"', "100.0"), ("", "50.0"),  # from 320 - 20 / 2 - 10 = 300 to 340
    ]  # fmt: skip
    assert "100.0% - 16px" in to_html(Board(rows[:1], FINISHED))


def test_re_ranked_rows_are_marked_by_what_they_knew() -> None:
    rows = [
        made_row(rerank="cross i2t 20", transductive=True),
        made_row(rank=2, rerank="cross i2t 20 (inductive)", settings="lr=0.1"),
        made_row(rank=3),
    ]
    page = to_html(Board(rows, FINISHED))
    assert re.findall(r'<span class="tag"[^>]*>(\w+)</span>', page) == ["transductive", "inductive"]
    assert page.count("<small>re-ranked: ") == 2
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
    assert "Rows compare within one table" in several and several.count("<h2>Protocol ") == 2
    assert "Rows compare within one table" not in to_html(Board([made_row()], FINISHED))


def test_methods_are_explained_once_each() -> None:
    page = to_html(Board([made_row(), made_row(rank=2), made_row(method="composed/tirg")], FINISHED))
    assert page.count("<dt>") == 2
    assert "<dt>TIRG</dt><dd>The reference gated by the text, plus a residual (Vo et al., CVPR 2019).</dd>" in page
    assert "<dl>" not in to_html(Board([made_row(method="own")], FINISHED))


def test_a_curve_is_drawn_under_its_methods_title() -> None:
    curve = Curve("dvse", "method.views", [(1, 300.0, 1), (2, 305.0, 2), (4, 310.0, 1)])
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


def trial(number: int, views: int, value: float, state: str = "complete") -> dict[str, Any]:
    params = {"method.views": views, "optim.lr": 0.001}
    return {"number": number, "run": f"s-t{number:03d}", "params": params, "state": state, "value": value,
            "cost": 256.0 * views}  # fmt: skip


TRIALS = [trial(0, 1, 300.0), trial(1, 2, 290.0), trial(2, 4, 310.0), trial(3, 8, 320.0, "pruned")]


def test_a_sweep_against_a_cost_has_its_front_as_chart_and_rows() -> None:
    page = to_html(Board([], {}), {"e/s": Sweep(TRIALS, {}, "index_bytes")})
    assert "Sweep e/s: value against bytes per image" in page
    assert '<td class="left">s-t002</td><td class="left">views=4</td><td>1,024</td><td>310.0</td>' in page
    assert "s-t001: 290.00 at 512 bytes per image" in page  # a point that is not on the front
    assert "s-t003" not in front_figure(TRIALS, "index_bytes")
    assert front_figure(TRIALS[3:], "index_bytes") == ""
    assert "value against" not in to_html(Board([], {}), {"e/s": Sweep(TRIALS, {})})


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
    sweep = Sweep([trial(0, 1, 300.0) | {"run": evil}], {}, "index_bytes")
    page = to_html(Board([row], {evil: 1}, [Curve(evil, evil, [(1, 1.0, 1), (2, 2.0, 1), (3, 3.0, 1)])]), {evil: sweep})
    assert evil not in page
    assert '" onmouseover' not in page
    assert page.count("<script>") == 1  # our own


def test_the_page_fetches_nothing() -> None:
    page = to_html(Board([made_row()], FINISHED))
    assert not re.search(r"https?://|src=|@import|url\(", page)
