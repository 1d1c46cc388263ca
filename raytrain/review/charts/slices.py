"""What each searched field of a sweep does to the value: every trial, and the mean where values came several times."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from raytrain.review.charts.drawings import Axis, Point, Series, chart
from raytrain.review.charts.pareto import differing
from raytrain.review.charts.plots import is_log

MOST_FIELDS = 8
"""Fields that are drawn, the most important ones."""
MOST_CHOICES = 12
"""Different numbers up to which a field also has its means."""

Trials = Sequence[Mapping[str, Any]]


def shown_fields(trials: Trials, importance: Mapping[str, float]) -> list[str]:
    """The fields in which trials with a value differ: the most important first, at most MOST_FIELDS.

    Args:
        importance: {field: share}, as far as it is known.
    """
    fields = differing([trial for trial in trials if trial.get("value") is not None])
    return sorted(fields, key=lambda field: -importance.get(field, 0.0))[:MOST_FIELDS]


def field_axis(trials: Trials, field: str, space: Mapping[str, Any]) -> tuple[Axis, dict[str, float]]:
    """The axis of a field, and {setting as JSON: its number there} of the trials that have one.

    Numbers stand where they are, on a log axis where they were searched on one, or span a hundredfold in a space that
    does not say; other choices beside each other.

    Args:
        space: {field: Optuna distribution as JSON}, as far as it is known.
    """
    values = {
        json.dumps(trial["params"][field]): trial["params"][field] for trial in trials if field in trial["params"]
    }
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values.values()):
        numbers = {text: float(value) for text, value in values.items()}
        searched = (space.get(field, {}).get("attributes") or {}).get("log")
        log = is_log(list(numbers.values())) if searched is None else bool(searched) and min(numbers.values()) > 0
        whole = all(isinstance(value, int) for value in values.values())
        return Axis(field, log, whole=whole), numbers
    places = {text: float(place) for place, text in enumerate(sorted(values))}
    names = {place: text.strip('"') for text, place in places.items()}
    return Axis(field, names=names), places


def slice_chart(trials: Trials, field: str, space: Mapping[str, Any]) -> Markup:
    """Value by one field of every trial that has both; "" without any.

    Where settings came several times among the complete trials, a line joins their means, with the standard deviation.

    Args:
        space: as `field_axis` wants it.
    """
    scored = [trial for trial in trials if trial.get("value") is not None and field in trial["params"]]
    if not scored:
        return Markup("")
    axis, numbers = field_axis(scored, field, space)
    points: dict[bool, list[Point]] = {True: [], False: []}
    for trial in scored:
        number = numbers[json.dumps(trial["params"][field])]
        tooltip = f"{trial.get('run')}: {field} = {trial['params'][field]}, {trial['value']:.2f}, {trial.get('state')}"
        points[trial.get("state") == "complete"].append(Point(number, float(trial["value"]), tooltip))
    series = [
        Series("mean ± sd of complete trials", _means(points[True]), joined=True, dots=False, css="best"),
        Series("complete", points[True], css="s0"),
        Series("stopped early", points[False], css="s1 open"),
    ]
    series = [of_series for of_series in series if of_series.points]
    best = max(scored, key=lambda trial: float(trial["value"]))
    description = (
        f"Value of {len(scored)} trials by {field}; the highest, {best['value']:.2f}, at {best['params'][field]}"
    )
    drawing = chart(series, axis, Axis("validation value"), description)
    return drawing.svg() if drawing else Markup("")


def _means(points: Sequence[Point]) -> list[Point]:
    """Means with their spread by setting; [] unless few settings came several times."""
    by_setting: dict[float, list[float]] = {}
    for point in points:
        by_setting.setdefault(point.x, []).append(point.y)
    if len(by_setting) > MOST_CHOICES or len(by_setting) < 2 or all(len(ys) == 1 for ys in by_setting.values()):
        return []
    means = []
    for x, ys in sorted(by_setting.items()):
        mean = statistics.fmean(ys)
        sd = statistics.stdev(ys) if len(ys) > 1 else None
        ends = (None, None) if sd is None else (mean - sd, mean + sd)
        means.append(Point(x, mean, f"mean of {len(ys)}: {mean:.2f}", *ends))
    return means
