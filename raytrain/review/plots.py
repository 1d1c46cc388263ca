"""The charts of the page: how sweeps went, what a setting does, and what each re-ranking temperature gives."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.config import method_label
from raytrain.errors import DataError, Problem
from raytrain.evaluation.reranking import record as rerank_record
from raytrain.review.board import Curve
from raytrain.review.drawings import WIDTH, Drawing, MapAxis, Point, chart, rsum_map
from raytrain.review.pareto import UNITS, complete_trials, front
from raytrain.review.rendering import asset, render

GAP = 12
"""Between the drawings of a figure."""


def history(trials: Sequence[Mapping[str, Any]]) -> str:
    """Each trial's value by its number, and the best so far; "" without a value.

    Failed trials have no value and no point. Where the sweep searched over methods, each has its own colour.
    """
    series: dict[str, list[Point]] = {}
    line: list[Point] = []
    best = -math.inf
    for trial in trials:
        value = trial.get("value")
        if value is None:
            continue
        method = str((trial.get("params") or {}).get("method.kind", ""))
        best = max(best, float(value))
        number, tooltip = float(trial["number"]), f"{trial.get('run')}: {value:.2f}, {trial.get('state')}"
        series.setdefault(method_label(method).title, []).append(Point(number, float(value), tooltip))
        line.append(Point(number, best))
    return _svg(chart(series, line, "trial", "validation value; line: best so far"))


def front_chart(trials: Sequence[Mapping[str, Any]], cost: str) -> str:
    """Value by cost of the complete trials; the line joins the Pareto front; "" without any."""
    best = front(trials)
    chosen = {trial["number"] for trial in best}
    series: dict[str, list[Point]] = {"front": [], "others": []}
    for trial in complete_trials(trials):
        tooltip = f"{trial['run']}: {trial['value']:.2f} at {trial['cost']:,.0f} {UNITS[cost]}"
        name = "front" if trial["number"] in chosen else "others"
        series[name].append(Point(trial["cost"], trial["value"], tooltip))
    line = [Point(trial["cost"], trial["value"]) for trial in best]
    return _svg(chart(series, line, UNITS[cost], "validation value; line: the Pareto front"))


def setting_curve(curve: Curve) -> str:
    """Validation rsum by the values of one setting, all else alike; on a log axis where they span a hundredfold."""
    values = [value for value, _, _ in curve.points]
    log = values[0] > 0 and values[-1] >= 100 * values[0]
    points = [
        Point(math.log10(x) if log else x, y, f"{curve.setting} = {x:g}: {y:.2f} ({seeds} seed{'s' * (seeds > 1)})")
        for x, y, seeds in curve.points
    ]
    return _svg(chart({"": points}, points, curve.setting, "validation rsum", log_x=log))


def temperature_curve(folder: str | os.PathLike[str], direction: str, skipped: list[Problem] | None = None) -> str:
    """Sum of a direction's recalls by scale, of every setting that a run's search tried; "" without a search.

    Args:
        folder: of the run.
        direction: "i2t" or "t2i".
        skipped: where the problems of a damaged search are added; None discards them.
    """
    return _svg(_curve(_tried(folder, skipped), direction))


def temperature_map(folder: str | os.PathLike[str], skipped: list[Problem] | None = None) -> str:
    """rsum by both directions' scales, each in its best mode, of a run's search; "" without a search."""
    return _svg(_map(_tried(folder, skipped)))


def rerank_figure(tried: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    """Both curves and the map of what a `RerankRecord` tried, as one SVG file that needs nothing else."""
    drawings = [drawing for drawing in (_curve(tried, "i2t"), _curve(tried, "t2i"), _map(tried)) if drawing]
    tops = [sum(drawing.height + GAP for drawing in drawings[:place]) for place in range(len(drawings) + 1)]
    return render(
        "figure.svg.j2",
        width=WIDTH,
        height=max(tops[-1], 1),
        style=asset("figure.css"),
        drawings=[drawing.svg(top) for drawing, top in zip(drawings, tops, strict=False)],
    )


def _svg(drawing: Drawing | None) -> str:
    return drawing.svg() if drawing else ""


def _tried(folder: str | os.PathLike[str], skipped: list[Problem] | None) -> dict[str, list[list[Any]]]:
    """What a run's search tried, {direction: [[mode, scale, sum of recalls, ...]]}; {} without a readable search."""
    try:
        return rerank_record.RerankRecord.read(Path(folder) / rerank_record.NAME).tried
    except FileNotFoundError:
        return {}
    except DataError as error:
        (skipped if skipped is not None else []).extend(error.problems)
        return {}


def _curve(tried: Mapping[str, Sequence[Sequence[Any]]], direction: str) -> Drawing | None:
    settings = tried.get(direction, [])
    off = next((float(setting[2]) for setting in settings if setting[0] == "off"), None)
    series: dict[str, list[Point]] = {}
    for setting in settings:
        if setting[0] != "off":
            points = series.setdefault(_mode(setting), [])
            scale, recalls = float(setting[1]), float(setting[2])
            if scale > 0:
                points.append(Point(math.log10(scale), recalls, f"{_mode(setting)} {scale:g}: {recalls:.2f}"))
    xs = [point.x for points in series.values() for point in points]
    line = [Point(min(xs), off), Point(max(xs), off)] if xs and off is not None else []
    y_name = f"{direction} recall sum; line: without re-ranking"
    return chart(series, line, "scale, on a log axis", y_name, log_x=True)


def _mode(setting: Sequence[Any]) -> str:
    """The mode, and the size of the bank where there is one."""
    return f"{setting[0]} {setting[3]}" if len(setting) > 3 else str(setting[0])


def _map(tried: Mapping[str, Sequence[Sequence[Any]]]) -> Drawing | None:
    """rsum of each pair of scales: n + n evaluations shown as n x n sums; None without a search."""
    i2t, t2i = _map_axis(tried.get("i2t", [])), _map_axis(tried.get("t2i", []))
    return rsum_map(i2t, t2i) if i2t and t2i else None


def _map_axis(settings: Sequence[Sequence[Any]], most: int = 32) -> MapAxis | None:
    """Scales of the best mode, about `most` of them; the best scale is always there."""
    scaled = [setting for setting in settings if setting[0] not in ("off", "mtfn")]
    if not scaled:
        return None
    best = max(scaled, key=lambda setting: float(setting[2]))
    same = sorted((float(setting[1]), float(setting[2])) for setting in scaled if _mode(setting) == _mode(best))
    every = max(1, math.ceil(len(same) / most))
    return MapAxis(_mode(best), sorted({*same[::every], (float(best[1]), float(best[2]))}))
