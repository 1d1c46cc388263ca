"""The plots of a study: each measure by variant with its spread over seeds, as SVG in the page and as PNG for docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.errors import UsageError, pip_install
from raytrain.files import replacing
from raytrain.review.charts.drawings import Axis, Point, Series, chart
from raytrain.review.pages.figures import Figure
from raytrain.review.rendering import render
from raytrain.studies.examples import PointMap
from raytrain.studies.report import Row, StudyReport
from raytrain.studies.report_text import scatter_text, value_text


class Spread(NamedTuple):
    """A variant in a plot: its place, mean and standard deviation (None of one seed), and what it is."""

    x: float
    mean: float
    sd: float | None
    text: str


@dataclass(frozen=True)
class Line:
    """Variants that share the levels of all factors but the first.

    Args:
        name: of those levels, or of the one variant where levels are no numbers; "" where there is one line alone.
        points: by place.
        joined: whether a line joins them: where levels are numbers.
    """

    name: str
    points: Sequence[Spread]
    joined: bool


def lines_of(report: StudyReport, measure: str) -> list[Line]:
    """The lines of a measure's plot; [] without runs. Of variants with numbers, those without one are left out."""
    rows = [row for row in report.rows if row.cells[measure].mean is not None]
    numbered = [row for row in rows if row.variant.number is not None]
    if numbered:
        by_rest: dict[str, list[Spread]] = {}
        for row in numbered:
            by_rest.setdefault(", ".join(row.variant.labels[1:]), []).append(_spread(row, measure, row.variant.number))
        return [Line(name, sorted(points), True) for name, points in by_rest.items()]
    return [
        Line(f"{place} {row.variant.name}", [_spread(row, measure, place)], False)
        for place, row in enumerate(rows, start=1)
    ]


def level_of(report: StudyReport, measure: str) -> tuple[str, float] | None:
    """Name and mean of the baseline where it has no place among the numbers of a plot; None elsewhere."""
    if all(row.variant.number is None for row in report.rows):
        return None
    for row in report.rows:
        mean = row.cells[measure].mean
        if row.variant.name == report.study.baseline and row.variant.number is None and mean is not None:
            return row.variant.name, mean
    return None


def _spread(row: Row, measure: str, place: float | None) -> Spread:
    cell = row.cells[measure]
    assert cell.mean is not None and place is not None
    return Spread(place, cell.mean, cell.sd, f"{row.variant.name}: {value_text(cell)}")


def figures(report: StudyReport) -> list[Figure]:
    """The plots of the page."""
    drawn = [_measure_figure(report, name) for name in measures_drawn(report)]
    maps = [_map_figure(variant, drawn_map) for variant, drawn_map in report.maps]
    return [figure for figure in [*drawn, _scatter_figure(report), *maps] if figure is not None]


def measures_drawn(report: StudyReport) -> list[str]:
    """Names of the measures that have a plot."""
    return list(report.study.drawn) or [report.study.measures[0].name]


def _measure_figure(report: StudyReport, name: str) -> Figure | None:
    factor, title = report.study.factors[0], report.study.measure(name).title
    lines = lines_of(report, name)
    series = [
        Series(
            line.name,
            [
                Point(of.x, of.mean, of.text, *((None, None) if of.sd is None else (of.mean - of.sd, of.mean + of.sd)))
                for of in line.points
            ],
            joined=line.joined,
        )
        for line in lines
    ]
    places = sorted({point.x for line in lines for point in line.points})
    numbered = all(line.joined for line in lines)
    axis = Axis(
        factor.title,
        log=numbered and factor.log and min(places, default=0) > 0,
        names=None if numbered else {place: f"{place:g}" for place in places},
        whole=all(float(place).is_integer() for place in places),
    )
    caption = f"{title} by {factor.title}: mean and standard deviation over seeds"
    level = level_of(report, name)
    drawing = chart(series, axis, Axis(title), caption, level)
    note = f"; dashed: {level[0]}" if level else ""
    return Figure(caption + note, drawing.svg()) if drawing else None


def _scatter_figure(report: StudyReport) -> Figure | None:
    if report.scatter is None or report.study.scatter is None:
        return None
    x, y = (report.study.measure(name).title for name in report.study.scatter)
    points = [Point(*point) for point in report.scatter[0]]
    caption = f"{y} by {x}, every run. {scatter_text(report)}".strip()
    drawing = chart([Series("", points)], Axis(x), Axis(y), caption)
    return Figure(caption, drawing.svg()) if drawing else None


def _map_figure(variant: str, drawn: PointMap) -> Figure | None:
    series = [Series(name, [Point(x, y) for x, y in points]) for name, points in drawn.series.items()]
    caption = f"{drawn.title}: {variant}, first seed"
    drawing = chart(series, Axis("first direction"), Axis("second direction"), caption)
    return Figure(caption, drawing.svg()) if drawing else None


def attention_grid(shares: Sequence[Sequence[float]], description: str) -> Markup:
    """A small drawing of cells, the stronger the colour the larger their share in [0, 1]."""
    return render("grid.svg.j2", shares=shares, description=description)


def write_png(report: StudyReport, path: Path) -> Path:
    """Write the plots as one PNG, for pages that show no SVG of the kind; its path.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise UsageError(f"a plot as PNG needs matplotlib: {pip_install('studies')}") from None
    names = measures_drawn(report)
    scatter = report.scatter[0] if report.scatter else []
    count = len(names) + bool(scatter)
    canvas = Canvas(figsize=(5.2 * count, 3.6), dpi=140, layout="constrained")
    FigureCanvasAgg(canvas)
    for place, name in enumerate(names, start=1):
        _draw_measure(canvas.add_subplot(1, count, place), report, name)
    if scatter and report.study.scatter is not None:
        axes = canvas.add_subplot(1, count, count)
        axes.scatter([point[0] for point in scatter], [point[1] for point in scatter], s=14)
        axes.set_xlabel(report.study.measure(report.study.scatter[0]).title)
        axes.set_ylabel(report.study.measure(report.study.scatter[1]).title)
    with replacing(path) as part:
        canvas.savefig(part, format="png", metadata={"Software": None})
    return path


def _draw_measure(axes: Any, report: StudyReport, name: str) -> None:
    lines, title = lines_of(report, name), report.study.measure(name).title
    axes.grid(alpha=0.3)
    if not all(line.joined for line in lines):
        _draw_names(axes, lines, title)
        return
    factor = report.study.factors[0]
    for line in lines:
        xs, means = [of.x for of in line.points], [of.mean for of in line.points]
        axes.errorbar(xs, means, yerr=_spreads(line), marker="o", markersize=4, capsize=3, linewidth=1.2,
                      label=line.name or None)  # fmt: skip
    if factor.log and min((p.x for line in lines for p in line.points), default=0) > 0:
        axes.set_xscale("log")
    if (level := level_of(report, name)) is not None:
        axes.axhline(level[1], linestyle="--", color="grey", linewidth=1, label=level[0])
    axes.set_xlabel(factor.title)
    axes.set_ylabel(title)
    if level or any(line.name for line in lines):
        axes.legend(fontsize=7)


def _draw_names(axes: Any, lines: Sequence[Line], title: str) -> None:
    """Variants without numbers: one below the other, by their names."""
    for line in lines:
        axes.errorbar([of.mean for of in line.points], [of.x for of in line.points], xerr=_spreads(line), marker="o",
                      markersize=4, capsize=3, linestyle="none", color="C0")  # fmt: skip
    axes.set_yticks(range(1, len(lines) + 1), [line.name.partition(" ")[2] for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(title)


def _spreads(line: Line) -> list[float]:
    return [0.0 if of.sd is None else of.sd for of in line.points]
