"""Curves of one setting: rows that differ in one number and in nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raytrain.review.board import Curve, CurvePoint, Row

NOT_SETTINGS = ("name", "seed", "experiment", "data.table")
"""Fields in which the runs of a row may differ; the fingerprint stands for the table."""


def curves_of(rows: Sequence[Row], least: int = 3) -> list[Curve]:
    """A curve of each number that has at least `least` values while all else stays the same."""
    plain = {json.dumps(row.runs): row for row in rows if not row.rerank}
    curves = []
    numbers = {name for row in plain.values() for name, value in row.config.items() if _is_number(value)}
    for name in sorted(numbers - set(NOT_SETTINGS)):
        alike: dict[str, dict[float, CurvePoint]] = {}
        for row in plain.values():
            value: Any = row.config.get(name)
            rsum = row.val.rsum
            rest = {key: setting for key, setting in row.config.items() if key not in (*NOT_SETTINGS, name)}
            if _is_number(value) and rsum is not None:
                key = json.dumps([row.method, row.fingerprint, row.experiment, rest], sort_keys=True)
                point = CurvePoint(float(value), rsum, len(row.seeds), row.val.rsum_sd)
                alike.setdefault(key, {})[float(value)] = point
        for key, points in alike.items():
            if len(points) >= least:
                curves.append(Curve(json.loads(key)[0], name, [points[value] for value in sorted(points)]))
    return curves


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
