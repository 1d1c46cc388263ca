"""The charts of sweeps, of settings, and of what each re-ranking temperature gives."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from raytrain.config import method_label
from raytrain.errors import DataError, Problem
from raytrain.evaluation.reranking import record as rerank_record
from raytrain.review.board import Curve
from raytrain.review.charts.drawings import WIDTH, Axis, Drawing, MapAxis, Point, Series, chart, rsum_map
from raytrain.review.charts.pareto import UNITS, complete_trials, front
from raytrain.review.rendering import asset, render

GAP = 12
"""Between the drawings of a figure."""
LOG_RATIO = 100
"""Positive values that span this ratio are drawn on a log axis."""


def history(trials: Sequence[Mapping[str, Any]]) -> Markup:
    """Each trial's value by its number, and the best so far; "" without a value.

    Failed trials have no value and no point. Where the sweep searched over methods, each has its own colour; trials
    that were stopped early are hollow.
    """
    points: dict[tuple[str, bool], list[Point]] = {}
    so_far: list[Point] = []
    best, best_run = -math.inf, ""
    for trial in trials:
        value = trial.get("value")
        if value is None:
            continue
        method = method_label(str((trial.get("params") or {}).get("method.kind", ""))).title
        if value > best:
            best, best_run = float(value), str(trial.get("run"))
        number, tooltip = float(trial["number"]), f"{trial.get('run')}: {value:.2f}, {trial.get('state')}"
        key = method, trial.get("state") == "complete"
        points.setdefault(key, []).append(Point(number, float(value), tooltip))
        so_far.append(Point(number, best))
    colours = {method: f"s{place % 8}" for place, method in enumerate(dict.fromkeys(method for method, _ in points))}
    series = []
    for (method, is_complete), of_series in sorted(points.items(), key=lambda item: (item[0][0], not item[0][1])):
        name = " ".join(part for part in (method, "" if is_complete else "stopped early") if part)
        series.append(Series(name or "complete", of_series, css=colours[method] + ("" if is_complete else " open")))
    series.append(Series("best so far", so_far, joined=True, dots=False, css="best"))
    description = f"Value of {len(so_far)} trials by number; the highest is {best:.2f}, of {best_run}"
    return _svg(chart(series, Axis("trial", whole=True), Axis("validation value"), description))


def front_chart(trials: Sequence[Mapping[str, Any]], cost: str) -> Markup:
    """Value by cost of the complete trials; the line joins the Pareto front; "" without any."""
    best = front(trials)
    chosen = {trial["number"] for trial in best}
    points: dict[bool, list[Point]] = {True: [], False: []}
    for trial in sorted(complete_trials(trials), key=lambda trial: float(trial["cost"])):
        tooltip = f"{trial['run']}: {trial['value']:.2f} at {trial['cost']:,.0f} {UNITS[cost]}"
        points[trial["number"] in chosen].append(Point(trial["cost"], trial["value"], tooltip))
    series = [
        Series("Pareto front", points[True], joined=True, css="s0"),
        Series("other trials", points[False], css="s1 open"),
    ]
    description = f"Value by {UNITS[cost]}: {len(best)} of {sum(map(len, points.values()))} trials are on the front"
    log = is_log([point.x for of_series in points.values() for point in of_series])
    return _svg(chart(series, Axis(UNITS[cost], log), Axis("validation value"), description))


def setting_curve(curve: Curve) -> Markup:
    """Validation rsum by the values of one setting, all else alike, with the spread over seeds where there is one."""
    points = []
    for value, rsum, seeds, sd in curve.points:
        spread = "" if sd is None else f" ± {sd:.2f}"
        tooltip = f"{curve.setting} = {value:g}: {rsum:.2f}{spread} ({seeds} seed{'s' * (seeds > 1)})"
        ends = (None, None) if sd is None else (rsum - sd, rsum + sd)
        points.append(Point(value, rsum, tooltip, *ends))
    name = "± sd over seeds" if any(point.low is not None for point in points) else ""
    best = max(curve.points, key=lambda point: point.rsum)
    description = f"Validation rsum by {curve.setting}: the highest, {best.rsum:.2f}, at {best.value:g}"
    log = is_log([point.x for point in points])
    x_axis = Axis(curve.setting, log, whole=all(float(point.x).is_integer() for point in points))
    return _svg(chart([Series(name, points, joined=True)], x_axis, Axis("validation rsum"), description))


def is_log(values: Sequence[float]) -> bool:
    """Whether a log axis shows the values better."""
    return bool(values) and min(values) > 0 and max(values) >= LOG_RATIO * min(values)


def temperature_curve(folder: str | os.PathLike[str], direction: str, skipped: list[Problem] | None = None) -> Markup:
    """Sum of a direction's recalls by scale, of every setting that a run's search tried; "" without a search.

    Args:
        folder: of the run.
        direction: "i2t" or "t2i".
        skipped: where the problems of a damaged search are added; None discards them.
    """
    return _svg(_curve(_tried(folder, skipped), direction))


def temperature_map(folder: str | os.PathLike[str], skipped: list[Problem] | None = None) -> Markup:
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


def _svg(drawing: Drawing | None) -> Markup:
    return drawing.svg() if drawing else Markup("")


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
    points: dict[str, list[Point]] = {}
    for setting in settings:
        if setting[0] != "off":
            of_mode = points.setdefault(_mode(setting), [])
            scale, recalls = float(setting[1]), float(setting[2])
            if scale > 0:
                of_mode.append(Point(scale, recalls, f"{_mode(setting)} {scale:g}: {recalls:.2f}"))
    series = [Series(mode, of_mode) for mode, of_mode in points.items()]
    best = max((point for of_mode in points.values() for point in of_mode), key=lambda point: point.y, default=None)
    description = f"{direction} recall sum by scale" + (f"; the highest at {best.tooltip}" if best else "")
    level = None if off is None else (f"without re-ranking: {off:.2f}", off)
    y_name = f"{direction} recall sum" + ("" if off is None else "; dashed: without re-ranking")
    return chart(series, Axis("scale", log=True), Axis(y_name), description, level)


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
