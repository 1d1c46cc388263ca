"""A leaderboard as one HTML file that needs nothing else: no network, no library; what it shows is escaped."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from raytrain.config import method_label
from raytrain.review.accounting import SweepCost
from raytrain.review.board import SPLITS, Board, Row, Split, Table
from raytrain.review.columns import Column, PageCell, columns_of, header_of
from raytrain.review.costs import READING, cost_lines, unpriced
from raytrain.review.drawings import bars
from raytrain.review.escaping import plain
from raytrain.review.importance import importances
from raytrain.review.pareto import UNITS, differing, front, settings
from raytrain.review.plots import front_chart, history, setting_curve, temperature_curve, temperature_map
from raytrain.review.rendering import asset, render
from raytrain.review.tables import explanation, summary
from raytrain.review.trials import Sweep

MOST_IMPORTANCES = 10
"""Fields that a chart of importances shows, the largest."""


class Group(NamedTuple):
    """A header over neighbouring columns; the first group of a table has no frame."""

    title: str
    span: int
    framed: bool


class Head(NamedTuple):
    """A column of one table, as templates/cells.html.j2 draws it."""

    title: str
    css: str
    split: Split | None
    macro: str
    key: Callable[[Row], Any]
    text: Callable[[Row], str]
    detail: Callable[[Row], str]
    tooltip: Callable[[Row], str]


class PageTable(NamedTuple):
    """A table as templates/page.html.j2 draws it; `bar_percent` of a row and a split is the length of its bar."""

    protocol: str
    fingerprint: str
    selection: str
    groups: list[Group]
    heads: list[Head]
    rows: Table
    bar_percent: Callable[[Row, Split], float]


class Figure(NamedTuple):
    """A drawing as markup, and the words above it."""

    caption: str
    drawing: str


def to_html(board: Board, sweeps: Mapping[str, Sweep] | None = None, costs: Sequence[SweepCost] = ()) -> str:
    """The page; the time of writing is the only thing in it that no run recorded.

    Args:
        board: the rows.
        sweeps: by name, for charts of how each went and of what decided it.
        costs: of the sweeps.
    """
    figures = [
        *(figure for name, sweep in (sweeps or {}).items() for figure in _sweep_figures(name, sweep)),
        *(Figure(f"{method_label(c.method).title} by {c.setting}", setting_curve(c)) for c in board.curves),
        *_rerank_figures(board),
    ]
    labels = [method_label(method) for method in dict.fromkeys(row.method for row in board.rows)]
    headers, *cost_rows = cost_lines(costs)
    return render(
        "page.html.j2",
        style=asset("style.css"),
        script=asset("script.js"),
        summary=plain(summary(board)),
        left_out=[str(left) for left in board.left_out],
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        tables=[_page_table(table) for table in board.tables],
        figures=[figure for figure in figures if figure.drawing],
        sweep_costs={"headers": headers, "rows": cost_rows, "notes": [READING, *unpriced(costs)]},
        explanation=explanation(board),
        methods=[label for label in labels if label.summary],
    )


def _sweep_figures(name: str, sweep: Sweep) -> Iterator[Figure]:
    """How the sweep went, and what decided it, for each method with enough trials."""
    selection = f", selected on {sweep.selection}" if sweep.selection else ""
    yield Figure(f"Sweep {name}{selection}", history(sweep.trials))
    if sweep.cost in UNITS:
        yield Figure(f"Sweep {name}: value against {UNITS[sweep.cost]}", front_figure(sweep.trials, sweep.cost))
    for method, shares in importances(sweep.trials, sweep.space).items():
        of_method = f", {method_label(method).title}" if method else ""
        largest = dict(list(shares.items())[:MOST_IMPORTANCES])
        yield Figure(f"What decided sweep {name}{of_method}", bars(largest))


def front_figure(trials: Sequence[Mapping[str, Any]], cost: str) -> str:
    """The chart of a sweep's values and costs, and its Pareto front as rows; "" without a complete trial."""
    best = front(trials)
    if not best:
        return ""
    names = differing(best)
    rows = [(t["run"], settings(t["params"], names), f"{t['cost']:,.0f}", f"{t['value']:.1f}") for t in best]
    headers = ("Run", "Settings", UNITS[cost], "Value")
    return render("front.html.j2", drawing=front_chart(trials, cost), headers=headers, rows=rows)


def _rerank_figures(board: Board) -> list[Figure]:
    """Both directions' temperature curves of the best transductive row, its first seed, and their map."""
    row = next((row for row in board.rows if row.transductive), None)
    if row is None:
        return []
    run, folder, skipped = row.runs[0], row.folders[0], board.skipped
    drawings = {side: temperature_curve(folder, side, skipped) for side in ("i2t", "t2i")}
    drawings["both"] = temperature_map(folder, skipped)
    return [Figure(f"Re-ranking of {run}, {side}", drawing) for side, drawing in drawings.items()]


def _page_table(table: Table) -> PageTable:
    cells = [(column, cell) for column in columns_of(table, "page") for cell in column.page_cells]
    groups, heads = list[Group](), list[Head]()
    for group, members in itertools.groupby(cells, key=lambda pair: pair[1].group):
        for place, (column, cell) in enumerate(members):
            heads.append(_head(column, cell, table, framed=place == 0 and bool(groups)))
        groups.append(Group(group, len(heads) - sum(before.span for before in groups), bool(groups)))
    first = table[0]
    return PageTable(first.protocol, first.fingerprint, first.selection, groups, heads, table, _bar_percent(table))


def _head(column: Column, cell: PageCell, table: Table, framed: bool) -> Head:
    key = cell.key or column.value

    def sort_key(row: Row) -> Any:
        value = key(row)
        return "" if value is None else value

    css = " ".join(word for word in ("left" if cell.left else "", "first" if framed else "") if word)
    text = cell.text or column.text
    return Head(header_of(cell, table), css, column.split, cell.macro, sort_key, text, cell.detail, cell.tooltip)


def _bar_percent(table: Table) -> Callable[[Row, Split], float]:
    """Lengths of bars: they start a little below the lowest row, so that differences of a few points can be seen."""
    spans = {}
    for split in SPLITS:
        sums = [rsum for row in table if (rsum := row.scores(split).rsum) is not None]
        if sums:
            spans[split] = max(0.0, min(sums) - 0.5 * (max(sums) - min(sums)) - 10), max(sums)

    def percent(row: Row, split: Split) -> float:
        rsum, (low, high) = row.scores(split).rsum, spans[split]
        return 100 * (rsum - low) / (high - low) if rsum is not None and high > low else 100.0

    return percent
