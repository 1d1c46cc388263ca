"""Small drawings as inline SVG, coloured by the page's style: points with a line, bars, a map of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.review.rendering import render

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 520, 210, 52, 14, 34, 12
MAP_HEIGHT = 300


class Point(NamedTuple):
    """Where a value stands, and what the mouse shows there."""

    x: float
    y: float
    tooltip: str = ""


class Label(NamedTuple):
    """Text at a place; `anchor` is its start, middle or end, and "" the start."""

    x: float
    y: float
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Drawing:
    """A template with its values.

    Args:
        template: of templates/.
        height: of the drawing; its width is WIDTH.
        values: for the template.
    """

    template: str
    height: int
    values: Mapping[str, Any]

    def svg(self, top: float | None = None) -> Markup:
        """The markup; with `top`, placed that far down inside another SVG."""
        return render(self.template, width=WIDTH, height=self.height, top=top, **self.values)


def chart(
    series: Mapping[str, Sequence[Point]], line: Sequence[Point], x_name: str, y_name: str, log_x: bool = False
) -> Drawing | None:
    """Named series of points and one line; None without points.

    Args:
        series: points by the name that the legend shows; "" shows none.
        line: through points of its own.
        x_name: below the x axis.
        y_name: above the chart.
        log_x: x is log10 of the value that the axis shows.
    """
    points = [point for of_series in series.values() for point in of_series]
    if not points:
        return None
    xs, ys = [point.x for point in [*points, *line]], [point.y for point in [*points, *line]]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    x1, y1 = (x1 if x1 > x0 else x0 + 1), (y1 if y1 > y0 else y0 + 1)

    def place(point: Point) -> Point:
        x = LEFT + (point.x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (point.y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP - 18)
        return Point(x, y, point.tooltip)

    grid = [(place(Point(x0, y)).y, f"{y:.1f}") for y in (y0, (y0 + y1) / 2, y1)]
    values = {
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "grid": [(y, Label(LEFT - 6, y + 4, text, "end")) for y, text in grid],
        # the last number may be long, and ends at the edge
        "ticks": [
            Label(place(Point(x, y0)).x, HEIGHT - BOTTOM + 16, _tick(10**x if log_x else x), anchor)
            for x, anchor in ((x0, "middle"), (x1, "end"))
        ],
        "line": [place(point) for point in line],
        "series": [(name, [place(point) for point in of_series]) for name, of_series in series.items()],
        "x_name": x_name,
        "y_name": y_name,
        "top_text": TOP,
    }
    return Drawing("chart.svg.j2", HEIGHT, values)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bars(shares: Mapping[str, float]) -> Markup:
    """Horizontal bars of shares of 1, largest first, each as long as its part of the largest."""
    row, left = 20, 190
    longest = max(shares.values(), default=1.0)
    lengths = [(name, share, share / longest * (WIDTH - left - 60)) for name, share in shares.items()]
    return Drawing("bars.svg.j2", row * len(shares), {"bars": lengths, "row": row, "left": left}).svg()


class MapAxis(NamedTuple):
    """One direction of a map: how it is re-ranked, and its (scale, sum of recalls), ascending."""

    name: str
    settings: Sequence[tuple[float, float]]


def rsum_map(i2t: MapAxis, t2i: MapAxis) -> Drawing:
    """A cell for each pair of scales, coloured by rsum; the best are framed. Both axes have at least one setting."""
    sums = [(x, y, a + b) for x, a in i2t.settings for y, b in t2i.settings]
    low, high = min(value for _, _, value in sums), max(value for _, _, value in sums)
    width, height = (WIDTH - LEFT - RIGHT) / len(i2t.settings), MAP_HEIGHT / len(t2i.settings)
    bottom = TOP + 8 + MAP_HEIGHT
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
        Label(LEFT, TOP, f"rsum, {low:.1f} (dark) to {high:.1f} (light)", "start"),
        Label(LEFT, bottom + 16, f"{i2t.settings[0][0]:g}", "start"),
        Label(WIDTH - RIGHT, bottom + 16, f"{i2t.settings[-1][0]:g}", "end"),
        Label((LEFT + WIDTH) / 2, bottom + 16, f"scale of i2t ({i2t.name}); up: of t2i ({t2i.name})", "middle"),
        Label(LEFT - 6, bottom - 2, f"{t2i.settings[0][0]:g}", "end"),
        Label(LEFT - 6, TOP + 18, f"{t2i.settings[-1][0]:g}", "end"),
    ]
    values = {"cells": cells, "cell_width": width, "cell_height": height, "labels": labels}
    return Drawing("map.svg.j2", bottom + 26, values)
