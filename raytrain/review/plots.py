"""Small charts as inline SVG: how a sweep went, and what each re-ranking temperature is worth."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.errors import DataError
from raytrain.evaluation.reranking import record as rerank_record
from raytrain.review.curves import Curve
from raytrain.review.importance import read_space
from raytrain.review.tables import METHOD_NAMES
from raytrain.tracking.journal import NAME, Journal

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 210, 52, 34, 12

FILE_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#5d6878}.grid{stroke:#dfe3ea}.best{fill:none;stroke:#2f6fde}"
    ".s0{fill:#7ba5f0}.s1{fill:#f0b26a}.s2{fill:#5bb98c}.s3{fill:#b98c5b}"
)

Point = tuple[float, float, str]  # x, y, tooltip


class Sweep(NamedTuple):
    """The "trial" events of a sweep by number, its space as `importance.read_space` gives it, the cost it kept low."""

    trials: list[dict[str, Any]]
    space: dict[str, Any]
    cost: str | None = None


def read_sweeps(storage: str | os.PathLike[str], experiment: str | None = None) -> dict[str, Sweep]:
    """{name of the sweep: what it tried}, of sweeps that have any trials."""
    found = {}
    for path in sorted(Path(storage).expanduser().resolve().glob(f"{experiment or '*'}/*/{NAME}")):
        events = Journal(path.parent).read()
        start = next((event for event in events if event["event"] == "start"), {})
        trials = {int(event["number"]): event for event in events if event["event"] == "trial"}
        if start.get("kind") == "sweep" and trials:
            name = f"{path.parent.parent.name}/{path.parent.name}"
            cost = start.get("options", {}).get("cost")
            found[name] = Sweep([trials[number] for number in sorted(trials)], read_space(path.parent), cost)
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
    return _curve(_tried(folder), direction)


def temperature_map(folder: str | os.PathLike[str]) -> str:
    """rsum by both directions' scales, each in its best mode, of a run's search; "" without a search."""
    return _map(_tried(folder))


def rerank_figure(tried: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    """Both curves and the map of what a `RerankRecord` tried, as one SVG file that needs nothing else."""
    drawn = [one for one in (_curve(tried, "i2t"), _curve(tried, "t2i"), _map(tried)) if one]
    y, parts = 0.0, []
    for one in drawn:
        height = float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', one)[0])
        parts.append(one.replace("<svg ", f'<svg x="0" y="{y:g}" width="{WIDTH}" height="{height:g}" ', 1))
        y += height + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(y, 1):g}"><style>{FILE_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _tried(folder: str | os.PathLike[str]) -> dict[str, list[list[Any]]]:
    """What a run's search tried, {direction: [[mode, scale, sum of recalls, ...]]}; {} without a readable search."""
    try:
        return rerank_record.RerankRecord.read(Path(folder) / rerank_record.NAME).tried
    except (FileNotFoundError, DataError):
        return {}


def _curve(tried: Mapping[str, Sequence[Sequence[Any]]], direction: str) -> str:
    entries = tried.get(direction, [])
    off = next((float(one[2]) for one in entries if one[0] == "off"), None)
    names = dict.fromkeys(_name(one) for one in entries if one[0] != "off")
    series = []
    for name in names:
        of_it = [(float(one[1]), float(one[2])) for one in entries if _name(one) == name and one[1] > 0]
        series.append((name, [(math.log10(scale), y, f"{name} {scale:g}: {y:.2f}") for scale, y in of_it]))
    xs = [x for _, points in series for x, _, _ in points]
    line: list[Point] = [(min(xs), off, ""), (max(xs), off, "")] if xs and off is not None else []
    return chart(series, line, "scale, on a log axis", f"{direction} recall sum; line: without re-ranking", log_x=True)


def _name(entry: Sequence[Any]) -> str:
    """Mode, and bank size where there is one."""
    return f"{entry[0]} {entry[3]}" if len(entry) > 3 else str(entry[0])


def _map(tried: Mapping[str, Sequence[Sequence[Any]]], most: int = 32) -> str:
    """A cell for each pair of scales, n + n evaluations shown as n x n sums; the best one is framed."""
    chosen = {}
    for direction in ("i2t", "t2i"):
        entries = [one for one in tried.get(direction, []) if one[0] not in ("off", "mtfn")]
        if not entries:
            return ""
        best = max(entries, key=lambda one: float(one[2]))
        same = sorted((float(one[1]), float(one[2])) for one in entries if _name(one) == _name(best))
        # scales that the drawing thins out are those of a search near the best one, so that one stays
        every = max(1, math.ceil(len(same) / most))
        kept = {*same[::every], (float(best[1]), float(best[2]))}
        chosen[direction] = (_name(best), sorted(kept))
    (i2t_name, across), (t2i_name, up) = chosen["i2t"], chosen["t2i"]
    low, high = across[0][1] + up[0][1], across[0][1] + up[0][1]
    for _, x in across:
        low, high = min(low, x + min(y for _, y in up)), max(high, x + max(y for _, y in up))
    width, height = (WIDTH - LEFT - 14) / len(across), 300 / len(up)
    cells = []
    for i, (i2t, a) in enumerate(across):
        for j, (t2i, b) in enumerate(up):
            share = (a + b - low) / (high - low) if high > low else 1.0
            frame = ' stroke="currentColor"' if a + b == high else ""
            cells.append(
                f'<rect x="{LEFT + i * width:.1f}" y="{TOP + 8 + 300 - (j + 1) * height:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}" fill="hsl({240 - 190 * share:.0f} 65% {25 + 45 * share:.0f}%)"{frame}>'
                f"<title>i2t {i2t:g}, t2i {t2i:g}: {a + b:.2f}</title></rect>"
            )
    bottom = TOP + 8 + 300
    words = [
        (LEFT, TOP, "start", f"rsum, {low:.1f} (dark) to {high:.1f} (light)"),
        (LEFT, bottom + 16, "start", f"{across[0][0]:g}"),
        (WIDTH - 14, bottom + 16, "end", f"{across[-1][0]:g}"),
        ((LEFT + WIDTH) / 2, bottom + 16, "middle", f"scale of i2t ({i2t_name}); up: of t2i ({t2i_name})"),
        (LEFT - 6, bottom - 2, "end", f"{up[0][0]:g}"),
        (LEFT - 6, TOP + 18, "end", f"{up[-1][0]:g}"),
    ]
    text = "".join(f'<text x="{x:g}" y="{y:g}" text-anchor="{at}">{escape(word)}</text>' for x, y, at, word in words)
    head = f'<svg viewBox="0 0 {WIDTH} {bottom + 26}" role="img" aria-label="rsum by both scales">'
    return f"{head}{''.join(cells)}{text}</svg>"


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
    for x, anchor in ((x0, "middle"), (x1, "end")):  # the last one may be long, and stands at the edge
        along, _ = at(x, y0)
        value = 10**x if log_x else x
        told = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        parts.append(f'<text x="{along:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{told}</text>')
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
