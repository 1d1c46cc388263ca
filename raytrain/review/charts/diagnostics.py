"""Diagnostics that `raytrain evaluate --diagnostics` wrote into evaluation files: hubs, margins, sets, uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from raytrain.review.charts.drawings import Axis, Point, Series, chart


def diagnostics_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """{name without "diagnostics/": number} of an evaluation file; {} where it has none."""
    measured = evaluation.get("diagnostics")
    pairs = measured.items() if isinstance(measured, Mapping) else ()
    return {
        str(name).removeprefix("diagnostics/"): float(value)
        for name, value in pairs
        if str(name).startswith("diagnostics/") and _is_number(value)
    }


def calibration_chart(evaluation: Mapping[str, Any]) -> Markup:
    """Recall at 10 by predicted uncertainty of the queries, in tenths; "" where a method predicts none."""
    measured = evaluation.get("diagnostics")
    bins = measured.get("calibration") if isinstance(measured, Mapping) else None
    points = []
    for place, part in enumerate(bins if isinstance(bins, list) else [], start=1):
        if isinstance(part, Mapping) and all(_is_number(part.get(name)) for name in ("recall", "uncertainty")):
            tooltip = f"tenth {place}: uncertainty {part['uncertainty']:.3g}, R@10 {part['recall']:.1f}"
            points.append(Point(place, float(part["recall"]), tooltip))
    if not points:
        return Markup("")
    description = f"Recall at 10 from {points[0].y:.1f} of the most certain tenth of queries to {points[-1].y:.1f}"
    x_axis = Axis("tenth of the queries, the most certain first", whole=True)
    drawing = chart([Series("", points, joined=True)], x_axis, Axis("R@10 in percent"), description)
    return drawing.svg() if drawing else Markup("")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
