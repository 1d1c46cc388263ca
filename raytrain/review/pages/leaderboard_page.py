"""A leaderboard as one HTML file that needs nothing else: no network, no library; what it shows is escaped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from raytrain.config import method_label
from raytrain.review.accounting import SweepCost
from raytrain.review.board import Board
from raytrain.review.costs import READING, cost_lines, unpriced
from raytrain.review.escaping import plain
from raytrain.review.pages.board_tables import filters_of, page_tables
from raytrain.review.pages.figures import curve_figures, importance_of, rerank_figures, sweep_figures
from raytrain.review.rendering import render_page
from raytrain.review.tables import explanation, summary
from raytrain.review.trials import Sweep
from raytrain.review.verdict import verdicts_of


def to_html(
    board: Board,
    sweeps: Mapping[str, Sweep] | None = None,
    costs: Sequence[SweepCost] = (),
    reports: Mapping[str, str] | None = None,
) -> str:
    """The page; the time of writing is the only thing in it that no run recorded.

    Args:
        board: the rows.
        sweeps: by name, for charts of how each went and of what decided it.
        costs: of the sweeps.
        reports: {folder of a row's first run: address of its report, relative to the page}.
    """
    figures = [
        *(f for name, sweep in (sweeps or {}).items() for f in sweep_figures(name, sweep, importance_of(sweep))),
        *curve_figures(board.curves),
        *rerank_figures(board),
    ]
    return render_page(
        "leaderboard.html.j2",
        ("style.css",),
        ("script.js",),
        title="raytrain leaderboard",
        verdicts=verdicts_of(board),
        summary=plain(summary(board)),
        left_out=[str(left) for left in board.left_out],
        written=written_now(),
        tables=page_tables(board.tables, reports or {}),
        filters=filters_of(board.tables),
        figures=figures,
        **closing(board, costs),
    )


def written_now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def closing(board: Board, costs: Sequence[SweepCost]) -> dict[str, object]:
    """What stands at the end of each page: costs of the sweeps, how to read it, and what the methods are."""
    headers, *cost_rows = cost_lines(costs)
    labels = [method_label(method) for method in dict.fromkeys(row.method for row in board.rows)]
    return {
        "sweep_costs": {"headers": headers, "rows": cost_rows, "notes": [READING, *unpriced(costs)]},
        "explanation": explanation(board),
        "methods": [label for label in labels if label.summary],
    }
