"""Small drawings as inline SVG, coloured by the page's style: points and lines, bars, a map of cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.review.rendering import render

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 440, 230, 50, 14, 36, 30
MAP_HEIGHT = 260
COLOURS = 8
"""Colours of series in style.css: classes s0 to s7, which a chart with more series uses again."""
MOST_TOOLTIPS = 200
"""Points of a chart that each say what they are; those of a larger one are drawn as one path."""
LARGEST, LEAST_SPAN = 1e100, 1e-100
"""Values beyond LARGEST are not drawn, and a smaller span than LEAST_SPAN is none: floats would overflow."""
CHARACTER, LEGEND_ROW = 7.2, 18
"""Width of a letter and height of a row of a legend, about."""


class Point(NamedTuple):
    """Where a value stands, what the mouse shows there, and the ends of a vertical line through it."""

    x: float
    y: float
    tooltip: str = ""
    low: float | None = None
    high: float | None = None


class Mark(NamedTuple):
    """A sign at a place: "resumed" or "failed"."""

    x: float
    y: float
    kind: str
    tooltip: str


@dataclass(frozen=True)
class Series:
    """Points of one name.

    Args:
        name: in the legend; "" has no place there.
        points: in the order in which a line joins them.
        joined: whether a line does.
        dots: whether each point is a dot.
        css: class of the colour; "" takes the next of the chart's own.
        marks: signs at some of them.
    """

    name: str
    points: Sequence[Point]
    joined: bool = False
    dots: bool = True
    css: str = ""
    marks: Sequence[Mark] = ()


class Label(NamedTuple):
    """Text at a place; `anchor` is its start, middle or end, and "" the start."""

    x: float
    y: float
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Args:
        name: of what it shows.
        log: its values are drawn by their logarithm; they are above 0.
        names: {value: text} at its ticks; None writes numbers.
        whole: there is nothing between whole numbers.
    """

    name: str
    log: bool = False
    names: Mapping[float, str] | None = None
    whole: bool = False

    def at(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """(place, text), from the least value to the highest; places are logarithms on such an axis."""
        if self.names:
            return [(self.at(value), text) for value, text in self.names.items()]
        if self.log and high - low < 2:  # powers of ten alone would be one or two
            decades = range(math.floor(low), math.ceil(high) + 1)
            round_places = [decade + math.log10(factor) for decade in decades for factor in (1, 2, 5)]
        else:
            round_places = nice_ticks(low, high, whole=self.log or self.whole)
        places = [place for place in round_places if low <= place <= high]
        return [(place, tick_text(10**place if self.log else place)) for place in places or [low, high]]


@dataclass(frozen=True)
class Drawing:
    """A template with its values.

    Args:
        template: of templates/.
        height: of the drawing; its width is WIDTH.
        values: for the template.
    """

    template: str
    height: float
    values: Mapping[str, Any]

    def svg(self, top: float | None = None) -> Markup:
        """The markup; with `top`, placed that far down inside another SVG."""
        return render(self.template, width=WIDTH, height=self.height, top=top, **self.values)


def chart(
    series: Sequence[Series], x: Axis, y: Axis, description: str, level: tuple[str, float] | None = None
) -> Drawing | None:
    """Series of points and lines over two axes; None without points.

    Args:
        series: the first is on top of the others.
        description: what the chart shows, for those who do not see it.
        level: name and value of a horizontal line.
    """
    series = [replace(of_series, points=[p for p in of_series.points if _fits(p)]) for of_series in series]
    points = [point for of_series in series for point in of_series.points]
    if not points:
        return None
    xs = [x.at(point.x) for point in points] + [x.at(value) for value in x.names or ()]
    ys = [y.at(end) for p in points for end in (p.y, p.low, p.high) if end is not None]
    ys += [y.at(level[1])] if level else []
    (x0, x1), (y0, y1) = _span(xs), _span(ys)

    def across(value: float) -> float:
        return LEFT + (value - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP)

    def placed(point: Point) -> Point:
        ends = (None if end is None else down(y.at(end)) for end in (point.low, point.high))
        return Point(across(x.at(point.x)), down(y.at(point.y)), point.tooltip, *ends)

    drawn: list[dict[str, Any]] = []
    has_tooltips = len(points) <= MOST_TOOLTIPS
    for number, of_series in enumerate(series):
        drawn.append(
            {
                "css": of_series.css or f"s{number % COLOURS}",
                "points": [placed(point) for point in of_series.points],
                "joined": of_series.joined and len(of_series.points) > 1,
                "dots": of_series.dots,
                "tooltips": has_tooltips,
                "marks": [Mark(across(x.at(m.x)), down(y.at(m.y)), m.kind, m.tooltip) for m in of_series.marks],
                "name": of_series.name,
            }
        )
    legend, rows = _legend([(shown["css"], shown["name"], shown["joined"]) for shown in drawn if shown["name"]])
    values = {
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "grid": [(down(at), Label(LEFT - 6, down(at) + 4, text, "end")) for at, text in y.ticks(y0, y1)],
        "ticks": _ticks([(across(at), text) for at, text in x.ticks(x0, x1)]),
        "level": None if level is None else (down(y.at(level[1])), level[0]),
        "series": drawn[::-1],
        "legend": legend,
        "x_name": x.name + (", log axis" if x.log else ""),
        "y_name": y.name + (", log axis" if y.log else ""),
        "base": HEIGHT,
        "description": description,
    }
    return Drawing("chart.svg.j2", HEIGHT + LEGEND_ROW * rows, values)


def _fits(point: Point) -> bool:
    return all(abs(value) <= LARGEST for value in (point.x, point.y, point.low, point.high) if value is not None)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the highest; of about equal values a span around them."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if high - low > max(LEAST_SPAN, 1e-12 * largest):
        return low, high
    return low - 0.5 * max(1.0, 0.01 * largest), high + 0.5 * max(1.0, 0.01 * largest)


def _ticks(ticks: Sequence[tuple[float, str]]) -> list[Label]:
    """Texts below the axis, without those that would stand on the one before; at the edges they turn inwards."""
    labels: list[Label] = []
    end = -math.inf
    for place, text in ticks:
        width = len(text) * CHARACTER
        first = min(max(place - width / 2, 0), WIDTH - width)
        if first > end + 4:
            anchor = "end" if place + width / 2 > WIDTH else "middle"
            labels.append(
                Label(WIDTH if anchor == "end" else max(place, width / 2), HEIGHT - BOTTOM + 16, text, anchor)
            )
            end = first + width
    return labels


def _legend(names: Sequence[tuple[str, str, bool]]) -> tuple[list[dict[str, Any]], int]:
    """Where the name of each series stands below the chart, and in how many rows."""
    shown, left, row = [], float(LEFT), 0
    for css, name, joined in names:
        text = name if len(name) <= 40 else f"{name[:37]}..."
        width = 24 + len(text) * CHARACTER
        if left > LEFT and left + width > WIDTH:
            left, row = float(LEFT), row + 1
        shown.append({"css": css, "text": text, "joined": joined, "x": left, "y": HEIGHT + LEGEND_ROW * row + 10})
        left += width + 10
    return shown, row + 1 if shown else 0


def nice_ticks(low: float, high: float, about: int = 5, whole: bool = False) -> list[float]:
    """Round numbers from below `low` to above `high`, about as many as wanted; with `whole` only whole ones."""
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next((size * factor for factor in (1, 2, 5, 10) if size * factor >= raw), size * 10)
    step = max(step, 1.0) if whole else step
    return [step * count for count in range(math.floor(low / step), math.ceil(high / step) + 1)]


def tick_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bars(shares: Mapping[str, float], description: str) -> Markup:
    """Horizontal bars of shares of 1, largest first, each as long as its part of the largest."""
    row, left = 22, 180
    longest = max(shares.values(), default=1.0)
    lengths = [(name, share, share / longest * (WIDTH - left - 60)) for name, share in shares.items()]
    values = {"bars": lengths, "row": row, "left": left, "description": description}
    return Drawing("bars.svg.j2", row * len(shares), values).svg()


class MapAxis(NamedTuple):
    """One direction of a map: how it is re-ranked, and its (scale, sum of recalls), ascending."""

    name: str
    settings: Sequence[tuple[float, float]]


def rsum_map(i2t: MapAxis, t2i: MapAxis) -> Drawing:
    """A cell for each pair of scales, coloured by rsum; the best are framed. Both axes have at least one setting."""
    sums = [(x, y, a + b) for x, a in i2t.settings for y, b in t2i.settings]
    low, high = min(value for _, _, value in sums), max(value for _, _, value in sums)
    width, height = (WIDTH - LEFT - RIGHT) / len(i2t.settings), MAP_HEIGHT / len(t2i.settings)
    top = 20
    bottom = top + MAP_HEIGHT
    cells = []
    for number, (x, y, value) in enumerate(sums):
        i, j = divmod(number, len(t2i.settings))
        cells.append(
            {
                "x": LEFT + i * width,
                "y": bottom - (j + 1) * height,
                "share": (value - low) / (high - low) if high > low else 1.0,
                "best": value == high,
                "tooltip": f"i2t {x:g}, t2i {y:g}: {value:.2f}",
            }
        )
    labels = [
        Label(LEFT, top - 8, f"rsum, {low:.1f} (dark) to {high:.1f} (light)", "start"),
        Label(LEFT, bottom + 16, f"{i2t.settings[0][0]:g}", "start"),
        Label(WIDTH - RIGHT, bottom + 16, f"{i2t.settings[-1][0]:g}", "end"),
        Label((LEFT + WIDTH) / 2, bottom + 16, f"scale of i2t ({i2t.name}); up: of t2i ({t2i.name})", "middle"),
        Label(LEFT - 6, bottom - 2, f"{t2i.settings[0][0]:g}", "end"),
        Label(LEFT - 6, top + 10, f"{t2i.settings[-1][0]:g}", "end"),
    ]
    best = next(cell["tooltip"] for cell in cells if cell["best"])
    values = {
        "cells": cells,
        "cell_width": width,
        "cell_height": height,
        "labels": labels,
        "description": f"rsum by both scales, from {low:.1f} to {high:.1f}; the highest at {best}",
    }
    return Drawing("map.svg.j2", bottom + 26, values)
