"""Curves by epoch: loss, the selection metric, and the diagnostics that an epoch logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.review.charts.drawings import Axis, Mark, Point, Series, chart
from raytrain.review.charts.plots import is_log
from raytrain.tracking.run_record import RunRecord

MOST_NAMED = 8
"""Runs of a chart with a colour and a name, the best; the others are thin and grey."""
MOST_POINTS = 60
"""Epochs of a curve that are drawn, evenly chosen."""
LOSS = "train/loss"
DIAGNOSTICS: Mapping[str, str] = {
    "diagnostics/set_log_variance": "log variance of image sets; lower is closer to collapse",
    "diagnostics/query_set_log_variance": "log variance of text sets; lower is closer to collapse",
    "diagnostics/set_cosine": "mean cosine within image sets; 1 is collapse",
    "diagnostics/query_set_cosine": "mean cosine within text sets; 1 is collapse",
    "diagnostics/effective_elements": "effective elements per set",
    "diagnostics/uncertainty_rank_correlation": "rank correlation of uncertainty and rank",
}
"""Metrics of an epoch, and what they say."""


class TrainedRun(NamedTuple):
    """A run, and the epochs after which it was started again."""

    record: RunRecord
    resumed_after: Sequence[int]

    @property
    def name(self) -> str:
        return str(self.record.start.get("run") or self.record.folder.name)


def trained_run(record: RunRecord, events: Sequence[Mapping[str, Any]]) -> TrainedRun:
    """A run with what its journal says of resumptions."""
    return TrainedRun(record, [int(event.get("epoch") or 0) for event in events if event["event"] == "resume"])


def epoch_curves(runs: Sequence[TrainedRun], metric: str, title: str) -> Markup:
    """A metric by epoch of each run that logged it; "" where none did.

    Args:
        runs: best first, so that the first have names.
        metric: of an "epoch" event.
        title: of the vertical axis.
    """
    logged = [(run, points) for run in runs if (points := _points(run, metric))]
    if not logged:
        return Markup("")
    named, others = logged[:MOST_NAMED], logged[MOST_NAMED:]
    series = [_series(run, points, run.name, f"s{place}") for place, (run, points) in enumerate(named)]
    series += [
        _series(run, points, "" if place else f"{len(others)} others", "other")
        for place, (run, points) in enumerate(others)
    ]
    best = ", ".join(f"{run.name} ends at {points[-1].y:.4g}" for run, points in named[:3])
    description = f"{metric} by epoch of {len(logged)} run{'s' * (len(logged) > 1)}: {best}"
    log = is_log([point.y for _, points in logged for point in points])
    drawing = chart(series, Axis("epoch", whole=True), Axis(title, log), description)
    return drawing.svg() if drawing else Markup("")


def _points(run: TrainedRun, metric: str) -> list[Point]:
    values = [
        (epoch, float(value))
        for epoch, event in run.record.epoch_events.items()
        if isinstance(value := (event.get("metrics") or {}).get(metric), (int, float))
    ]
    every = max(1, -(-len(values) // MOST_POINTS))
    kept = [*values[:-1:every], *values[-1:]]
    return [Point(epoch, value, f"{run.name}, epoch {epoch}: {value:.4g}") for epoch, value in kept]


def _series(run: TrainedRun, points: Sequence[Point], name: str, css: str) -> Series:
    marks = [
        Mark(*_at(points, epoch), "resumed", f"{run.name} went on after epoch {epoch}") for epoch in run.resumed_after
    ]
    if run.record.status == "failed":
        marks.append(Mark(points[-1].x, points[-1].y, "failed", f"{run.name} failed"))
    return Series(name, points, joined=True, dots=css != "other" and len(points) <= 30, css=css, marks=marks)


def _at(points: Sequence[Point], epoch: int) -> tuple[float, float]:
    """The point of an epoch, or the last one before it."""
    before = [point for point in points if point.x <= epoch]
    point = before[-1] if before else points[0]
    return point.x, point.y


def diagnostic_curves(runs: Sequence[TrainedRun]) -> Iterator[tuple[str, Markup]]:
    """(caption, drawing) of each diagnostic that epochs logged."""
    for metric, meaning in DIAGNOSTICS.items():
        if drawing := epoch_curves(runs, metric, metric.partition("/")[2]):
            yield meaning, drawing
