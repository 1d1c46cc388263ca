"""What a study is told of a trial: the selection metric, and where one is asked for, a cost that should be low."""

from __future__ import annotations

from raytrain.tracking.progress import Progress

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
