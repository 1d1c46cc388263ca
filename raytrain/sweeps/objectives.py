"""The objectives of a study: the selection metric, which is maximised, and on request a cost, which is minimised."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # help and completion read COSTS, and need no config
    from raytrain.tracking.run_record import RunRecord

COSTS = {"index_bytes": "cost/index_bytes", "gpu_seconds": "cost/gpu_seconds", "worker_seconds": "cost/worker_seconds"}
"""{name: the metric of a run}. Bytes are those of one image's embedding as float32: K views cost K vectors."""


def cost_of(run: RunRecord, cost: str) -> float | None:
    """A cost of the run after its last epoch; None where the run did not record it."""
    return run.metrics.get(COSTS[cost])


def values(run: RunRecord, cost: str | None) -> list[float] | None:
    """The best selection metric, and the cost where there is one; None of a run that lacks either."""
    objectives = [run.best, *([cost_of(run, cost)] if cost else [])]
    present = [value for value in objectives if value is not None]
    return present if len(present) == len(objectives) else None
