"""What a study is told of a trial: the selection metric, and where one is asked for, a cost that should be low."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytrain.cluster.runs import Progress

COSTS = {"index_bytes": "cost/index_bytes", "gpu_seconds": "cost/gpu_seconds", "worker_seconds": "cost/worker_seconds"}
"""{name: the metric of a run}. Bytes are of one image's embedding as float32: K views cost K vectors."""


def cost_of(run: Progress, cost: str) -> float | None:
    """What the run has cost when it ended; None where it did not say."""
    return run.metrics.get(COSTS[cost])


def values(run: Progress, cost: str | None) -> list[float] | None:
    """The best selection metric, and the cost; None of a run that lacks one."""
    found = [run.best, *([cost_of(run, cost)] if cost else [])]
    told = [value for value in found if value is not None]
    return told if len(told) == len(found) else None


def front(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trials that no other one beats in both value and cost, cheapest first; the earlier one of equals.

    Args:
        trials: "trial" events with "number", "value" (larger is better) and "cost" (smaller is better); those that
            miss one of the two, and those that were stopped early, are no part of it.
    """
    whole = [one for one in trials if one["state"] == "complete" and None not in (one["value"], one.get("cost"))]
    found: list[Mapping[str, Any]] = []
    for one in sorted(whole, key=lambda one: (one["cost"], -one["value"], one["number"])):
        if not found or one["value"] > found[-1]["value"]:
            found.append(one)
    return found
