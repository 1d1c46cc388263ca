"""Parallel coordinates: a line per trial over the fields of a sweep and its value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.review.charts.drawings import LARGEST, Axis, Label, tick_text
from raytrain.review.charts.slices import field_axis
from raytrain.review.rendering import render

WIDTH, HEIGHT, TOP, BOTTOM, EDGE = 1080, 310, 44, 12, 70
LEAST_TRIALS = 3
BEST_SHARE = 0.25
"""Share of the trials, the best ones, that are drawn in colour."""


class _Scale(NamedTuple):
    """One axis: its name, {setting as JSON: place from 0 at the bottom to 1}, and its labels as (place, text)."""

    name: str
    places: Mapping[str, float]
    labels: Sequence[tuple[float, str]]


def parallel_chart(
    trials: Sequence[Mapping[str, Any]], fields: Sequence[str], space: Mapping[str, Any], identity: str
) -> Markup:
    """Every trial with a value, over its fields and the value; "" for fewer than three trials, or without fields.

    A trial has no point on the axis of a field that its method does not have. The script of the page selects trials by
    ranges of the axes, from `data-at`: the place on each axis, from 0 to 1, or nothing.

    Args:
        trials: "trial" events.
        fields: in the order of their axes.
        space: as `field_axis` wants it.
        identity: of the drawing in its page, for the controls that belong to it.
    """
    scored = [trial for trial in trials if trial.get("value") is not None and abs(trial["value"]) <= LARGEST]
    if len(scored) < LEAST_TRIALS or not fields:
        return Markup("")
    scales = [*(_scale(scored, field, space) for field in fields), _value_scale(scored)]
    step = (WIDTH - 2 * EDGE) / (len(scales) - 1)
    ranked = sorted(scored, key=lambda trial: float(trial["value"]))
    best_from = len(ranked) - max(1, round(BEST_SHARE * len(ranked)))
    lines = []
    for number, trial in enumerate(ranked):
        settings = [json.dumps(trial["params"].get(field)) if field in trial["params"] else "" for field in fields]
        places = [s.places.get(text) for s, text in zip(scales, [*settings, json.dumps(trial["value"])], strict=True)]
        lines.append(
            {
                "points": [(EDGE + step * axis, _down(at)) for axis, at in enumerate(places) if at is not None],
                "at": ",".join("" if at is None else f"{at:.3f}" for at in places),
                "run": str(trial.get("run")),
                "tooltip": f"{trial.get('run')}: {trial['value']:.2f}, {trial.get('state')}",
                "is_best": number >= best_from,
            }
        )
    axes = []
    for place, scale in enumerate(scales):
        x = EDGE + step * place
        labels = [Label(x + 5, _down(at) + 4, text) for at, text in scale.labels]
        # names of neighbours stand at two heights, so that long ones have room
        axes.append({"x": x, "name": Label(x, 14 + 16 * (place % 2), scale.name, "middle"), "labels": labels})
    return render(
        "parallel.svg.j2",
        width=WIDTH, height=HEIGHT, top=TOP, bottom=HEIGHT - BOTTOM, lines=lines, axes=axes, identity=identity,
        description=f"{len(lines)} trials over {', '.join(fields)} and their value; the best "
        f"{len(ranked) - best_from} are in colour, the highest is {ranked[-1].get('run')}",
    )  # fmt: skip


def _down(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP)


def _scale(trials: Sequence[Mapping[str, Any]], field: str, space: Mapping[str, Any]) -> _Scale:
    axis, numbers = field_axis(trials, field, space)
    name = field.rpartition(".")[2]
    return _spread(name, axis, numbers)


def _value_scale(trials: Sequence[Mapping[str, Any]]) -> _Scale:
    return _spread("value", Axis("value"), {json.dumps(trial["value"]): float(trial["value"]) for trial in trials})


def _spread(name: str, axis: Axis, numbers: Mapping[str, float]) -> _Scale:
    at = {text: axis.at(number) for text, number in numbers.items()}
    low, high = min(at.values()), max(at.values())
    size = high - low or 1.0
    places = {text: (place - low) / size for text, place in at.items()}
    if axis.names:
        labels = [((axis.at(number) - low) / size, text[:14]) for number, text in axis.names.items()]
    else:
        labels = sorted({(0.0, tick_text(min(numbers.values()))), (1.0, tick_text(max(numbers.values())))})
    return _Scale(name, places, labels)
