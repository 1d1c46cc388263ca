"""The figures that pages share: how sweeps went, what decided them, what a setting does, what re-ranking gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.config import method_label
from raytrain.errors import Problem
from raytrain.review.board import Board, Curve, Row
from raytrain.review.charts.drawings import bars
from raytrain.review.charts.parallel import parallel_chart
from raytrain.review.charts.pareto import UNITS, differing, front, settings
from raytrain.review.charts.plots import front_chart, history, setting_curve, temperature_curve, temperature_map
from raytrain.review.charts.slices import shown_fields, slice_chart
from raytrain.review.importance import importances
from raytrain.review.rendering import render
from raytrain.review.trials import Sweep

MOST_IMPORTANCES = 10
"""Fields that a chart of importances shows, the largest."""


class Figure(NamedTuple):
    """A drawing as markup, the words above it, and whether it takes the whole width of the page."""

    caption: str
    drawing: Markup
    is_wide: bool = False
    brush: str = ""
    """Identity of the drawing whose axes the reader can select ranges of; "" where there are none."""


def sweep_figures(name: str, sweep: Sweep, importance: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """How the sweep went, its front, and what decided it, for each method with enough trials.

    Args:
        importance: as `importances` gives it.
    """
    selection = f", selected on {sweep.selection}" if sweep.selection else ""
    figures = [Figure(f"Trials of sweep {name}{selection}", history(sweep.trials))]
    if sweep.cost in UNITS:
        figures.append(
            Figure(f"Sweep {name}: value against {UNITS[sweep.cost]}", front_figure(sweep.trials, sweep.cost))
        )
    for method, shares in importance.items():
        of_method = f", {method_label(method).title}" if method else ""
        largest = dict(list(shares.items())[:MOST_IMPORTANCES])
        words = ", ".join(f"{field} {share:.0%}" for field, share in largest.items())
        figures.append(Figure(f"What decided sweep {name}{of_method}", bars(largest, f"Importance: {words}")))
    return [figure for figure in figures if figure.drawing]


def field_figures(number: int, sweep: Sweep, importance: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    """All trials over all fields, and a chart per field, the most important first.

    Args:
        number: of the sweep in its page.
        importance: as `importances` gives it.
    """
    largest: dict[str, float] = {}
    for shares in importance.values():
        for field, share in shares.items():
            largest[field] = max(share, largest.get(field, 0.0))
    fields = shown_fields(sweep.trials, largest)
    identity = f"parallel-{number}"
    if parallel := parallel_chart(sweep.trials, fields, sweep.space, identity):
        yield Figure("All trials; the best quarter in colour", parallel, is_wide=True, brush=identity)
    for field in fields:
        if drawing := slice_chart(sweep.trials, field, sweep.space):
            yield Figure(f"Value by {field}", drawing)


def importance_of(sweep: Sweep) -> dict[str, dict[str, float]]:
    """{method: {field: importance}}, largest first, as `importances` gives it."""
    return importances(sweep.trials, sweep.space)


def curve_figures(curves: Sequence[Curve]) -> list[Figure]:
    """What one setting does, all else alike."""
    return [Figure(f"{method_label(c.method).title} by {c.setting}", setting_curve(c)) for c in curves]


def front_figure(trials: Sequence[Mapping[str, Any]], cost: str) -> Markup:
    """The chart of a sweep's values and costs, and its Pareto front as rows; "" without a complete trial."""
    best = front(trials)
    if not best:
        return Markup("")
    names = differing(best)
    rows = [(t["run"], settings(t["params"], names), f"{t['cost']:,.0f}", f"{t['value']:.1f}") for t in best]
    headers = ("Run", "Settings", UNITS[cost], "Value")
    return render("front.html.j2", drawing=front_chart(trials, cost), headers=headers, rows=rows)


def rerank_figures(board: Board) -> list[Figure]:
    """Both directions' temperature curves of the best transductive row, its first seed, and their map."""
    row = next((row for row in board.rows if row.transductive), None)
    return [] if row is None else rerank_figures_of(row, board.skipped)


def rerank_figures_of(row: Row, skipped: list[Problem]) -> list[Figure]:
    run, folder = row.runs[0], row.folders[0]
    drawings = {side: temperature_curve(folder, side, skipped) for side in ("i2t", "t2i")}
    drawings["both"] = temperature_map(folder, skipped)
    return [Figure(f"Re-ranking of {run}, {side}", drawing) for side, drawing in drawings.items() if drawing]
