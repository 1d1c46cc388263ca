"""Small charts as inline SVG: how a sweep went, and what each re-ranking temperature is worth."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.review.importance import read_space
from raytrain.review.leaderboard import Curve
from raytrain.review.tables import METHOD_NAMES
from raytrain.tracking.journal import NAME, Journal

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 210, 52, 34, 12

Point = tuple[float, float, str]  # x, y, tooltip


class Sweep(NamedTuple):
    """The "trial" events of a sweep by number, and its space as `importance.read_space` gives it."""

    trials: list[dict[str, Any]]
    space: dict[str, Any]


def read_sweeps(storage: str | os.PathLike[str], experiment: str | None = None) -> dict[str, Sweep]:
    """{name of the sweep: what it tried}, of sweeps that have any trials."""
    found = {}
    for path in sorted(Path(storage).expanduser().resolve().glob(f"{experiment or '*'}/*/{NAME}")):
        events = Journal(path.parent).read()
        start = next((event for event in events if event["event"] == "start"), {})
        trials = {int(event["number"]): event for event in events if event["event"] == "trial"}
        if start.get("kind") == "sweep" and trials:
            name = f"{path.parent.parent.name}/{path.parent.name}"
            found[name] = Sweep([trials[number] for number in sorted(trials)], read_space(path.parent))
    return found


def history(trials: Sequence[dict[str, Any]]) -> str:
    """Each trial's value by its number, and the best so far; failed trials have no value and no point.

    Where the sweep searched over methods, each has its own colour.
    """
    series: dict[str, list[Point]] = {}
    line: list[Point] = []
    best = -math.inf
    for trial in trials:
        value = trial.get("value")
        if value is None:
            continue
        kind = (trial.get("params") or {}).get("method.kind", "")
        method = METHOD_NAMES.get(kind, str(kind))
        best = max(best, float(value))
        tip = f"{trial.get('run')}: {value:.2f}, {trial.get('state')}"
        series.setdefault(method, []).append((float(trial["number"]), float(value), tip))
        line.append((float(trial["number"]), best, ""))
    return chart(list(series.items()), line, "trial", "validation value; line: best so far")


def setting_curve(curve: Curve) -> str:
    """Validation rsum by the values of one setting, all else alike; on a log axis where the values span a hundred."""
    values = [value for value, _, _ in curve.points]
    log = values[0] > 0 and values[-1] >= 100 * values[0]
    points: list[Point] = [
        (math.log10(x) if log else x, y, f"{curve.setting} = {x:g}: {y:.2f} ({seeds} seed{'s' if seeds > 1 else ''})")
        for x, y, seeds in curve.points
    ]
    line: list[Point] = [(x, y, "") for x, y, _ in points]
    return chart([("", points)], line, curve.setting, "validation rsum", log_x=log)


def temperature_curve(folder: str | os.PathLike[str], direction: str) -> str:
    """Sum of a direction's recalls by scale, of every setting that the search of a run tried; "" without a search.

    Args:
        folder: of the run.
        direction: "i2t" or "t2i".
    """
    try:
        tried = json.loads((Path(folder) / "rerank.json").read_text(encoding="utf-8"))["tried"][direction]
    except (OSError, ValueError, KeyError):
        return ""
    off = next((float(score) for mode, _, score in tried if mode == "off"), None)
    series = []
    for mode in dict.fromkeys(mode for mode, _, _ in tried if mode != "off"):
        found = [(math.log10(s), y, f"{mode} {s:g}: {y:.2f}") for m, s, y in tried if m == mode and s > 0]
        series.append((str(mode), found))
    xs = [x for _, points in series for x, _, _ in points]
    line: list[Point] = [(min(xs), off, ""), (max(xs), off, "")] if xs and off is not None else []
    return chart(series, line, "scale, on a log axis", f"{direction} recall sum; line: without re-ranking", log_x=True)


def chart(
    series: Sequence[tuple[str, Sequence[Point]]],
    line: Sequence[Point],
    x_name: str,
    y_name: str,
    log_x: bool = False,
) -> str:
    """An SVG of named point series and one line, styled by the page's colours; "" without points.

    Args:
        log_x: x is log10 of what the axis tells.
    """
    points = [point for _, part in series for point in part]
    if not points:
        return ""
    xs, ys = [x for x, _, _ in [*points, *line]], [y for _, y, _ in [*points, *line]]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    x1, y1 = (x1 if x1 > x0 else x0 + 1), (y1 if y1 > y0 else y0 + 1)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - 14)
        return across, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP - 18)

    parts = []
    for y in (y0, (y0 + y1) / 2, y1):
        _, up = at(x0, y)
        parts.append(f'<path class="grid" d="M{LEFT} {up:.1f}H{WIDTH - 14}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{y:.1f}</text>')
    for x in (x0, x1):
        along, _ = at(x, y0)
        parts.append(
            f'<text x="{along:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{10**x if log_x else x:.3g}</text>'
        )
    if line:
        parts.append(
            '<path class="best" d="M' + "L".join("{:.1f} {:.1f}".format(*at(x, y)) for x, y, _ in line) + '"/>'
        )
    for number, (name, part) in enumerate(series):
        for x, y, tip in part:
            along, up = at(x, y)
            hint = f"<title>{escape(tip)}</title>"
            parts.append(f'<circle class="s{number}" cx="{along:.1f}" cy="{up:.1f}" r="3.5">{hint}</circle>')
        if name:
            parts.append(f'<circle class="s{number}" cx="{WIDTH - 230 + 78 * number}" cy="{HEIGHT - 9}" r="3.5"/>')
            parts.append(f'<text x="{WIDTH - 222 + 78 * number}" y="{HEIGHT - 5}">{escape(name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP}">{escape(y_name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 5}">{escape(x_name)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_name)}">{"".join(parts)}</svg>'
