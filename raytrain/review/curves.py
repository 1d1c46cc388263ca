"""What one number does: rows that differ in it and in nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

NOT_SETTINGS = ("name", "seed", "experiment", "data.table")  # the fingerprint stands for the table


class Curve(NamedTuple):
    """Rows of one method that differ in one number alone.

    Args:
        method: as in the rows.
        setting: dotted name of the number.
        points: (value, validation rsum, seeds) in ascending order.
    """

    method: str
    setting: str
    points: list[tuple[float, float, int]]


def curves_of(found: Sequence[dict[str, Any]], least: int = 3) -> list[Curve]:
    """Every number of which at least three values were tried while all else stayed the same."""
    plain = {json.dumps(row["runs"]): row for row in found if not row["rerank"] and row["val/rsum"] is not None}
    curves = []
    settings = {name for row in plain.values() for name, value in row["config"].items() if _is_number(value)}
    for name in sorted(settings - set(NOT_SETTINGS)):
        alike: dict[str, dict[float, tuple[float, float, int]]] = {}
        for row in plain.values():
            value = row["config"].get(name)
            rest = {key: one for key, one in row["config"].items() if key not in (*NOT_SETTINGS, name)}
            if _is_number(value):
                key = json.dumps([row["method"], row["fingerprint"], row["experiment"], rest], sort_keys=True)
                alike.setdefault(key, {})[float(value)] = (float(value), row["val/rsum"], len(row["seeds"]))
        for key, points in alike.items():
            if len(points) >= least:
                curves.append(Curve(json.loads(key)[0], name, [points[value] for value in sorted(points)]))
    return curves


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
