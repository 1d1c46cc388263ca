"""The figures of a sweep and of re-ranking, by their captions and what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import Problem
from raytrain.review.board import Board
from raytrain.review.pages.figures import (
    curve_figures,
    field_figures,
    front_figure,
    importance_of,
    rerank_figures,
    rerank_figures_of,
    sweep_figures,
)
from raytrain.review.trials import Sweep
from tests.review.made_rows import made_row
from tests.review.made_runs import write_search


def trial(number: int, views: int, value: float, state: str = "complete") -> dict[str, Any]:
    params = {"method.views": views, "optim.lr": 0.001}
    return {"number": number, "run": f"s-t{number:03d}", "params": params, "state": state, "value": value,
            "cost": 256.0 * views}  # fmt: skip


TRIALS = [trial(0, 1, 300.0), trial(1, 2, 290.0), trial(2, 4, 310.0), trial(3, 8, 320.0, "pruned")]


def test_a_sweep_against_a_cost_has_its_front_as_chart_and_rows() -> None:
    history, front = sweep_figures("e/s", Sweep(TRIALS, {}, "index_bytes", "split 'dev'"), {})
    assert history.caption == "Trials of sweep e/s, selected on split 'dev'"
    assert front.caption == "Sweep e/s: value against bytes per image"
    assert '<td class="left ">s-t002</td><td class="left ">views=4</td><td>1,024</td><td>310.0</td>' in front.drawing
    assert "s-t001: 290.00 at 512 bytes per image" in front.drawing  # a point that is not on the front
    assert "s-t003" not in front_figure(TRIALS, "index_bytes")
    assert front_figure(TRIALS[3:], "index_bytes") == ""
    assert len(sweep_figures("e/s", Sweep(TRIALS, {}), {})) == 1


def test_importances_order_the_charts_of_fields() -> None:
    importance = {"dvse": {"method.views": 0.9, "optim.lr": 0.1}}
    sweep = Sweep([trial(n, n + 1, 300.0 + n) | {"params": {"optim.lr": n, "method.views": n}} for n in range(4)], {})
    figures = list(field_figures(3, sweep, importance))
    assert [figure.caption for figure in figures[1:]] == ["Value by method.views", "Value by optim.lr"]
    assert figures[0].brush == "parallel-3" and 'id="parallel-3"' in figures[0].drawing and figures[0].is_wide
    decided = sweep_figures("e/s", sweep, importance)[-1]
    assert decided.caption == "What decided sweep e/s, DVSE" and "method.views 90%, optim.lr 10%" in decided.drawing


def test_importance_is_by_method() -> None:
    pytest.importorskip("optuna", reason="importances are Optuna's")
    from tests.review.test_importance import SPACE, trials

    assert set(importance_of(Sweep(trials(), SPACE))) == {"dvse", "dive"}


def test_a_search_of_temperatures_has_two_curves_and_a_map(tmp_path: Path) -> None:
    write_search(tmp_path, {side: [["off", 0, 90.0], ["cross", 4.0, 95.0]] for side in ("i2t", "t2i")})
    row = made_row(rerank="cross", transductive=True, runs=["best"], folders=[str(tmp_path)])
    captions = [f"Re-ranking of best, {side}" for side in ("i2t", "t2i", "both")]
    assert [figure.caption for figure in rerank_figures(Board([made_row(), row], {}))] == captions
    assert rerank_figures(Board([made_row()], {})) == [] == curve_figures([])
    skipped: list[Problem] = []
    (tmp_path / "rerank.json").write_text("[")
    assert rerank_figures_of(row, skipped) == [] and skipped
