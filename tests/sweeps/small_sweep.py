"""Parts of a small sweep: its space, its options, and runs whose journals are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.journal import Journal

SIX = SweepOptions(trials=6)


def rate(trial: Any) -> None:
    """A space of one field."""
    trial.suggest_float("optim.lr", 1e-4, 1e-2, log=True)


def write_run(folder: Path, values: list[float], status: str | None, error: str | None = None, **costs: float) -> None:
    """A run with one epoch per value of rsum; `costs` are metrics cost/... of each epoch."""
    journal = Journal(folder)
    journal.write("start", uid=folder.name, kind="run")
    for epoch, value in enumerate(values, 1):
        metrics = {"val/rsum": value, "cost/worker_seconds": epoch} | {f"cost/{k}": v for k, v in costs.items()}
        journal.write("epoch", epoch=epoch, step=epoch, metrics=metrics)
    if status:
        journal.write("end", status=status, error=error, metrics={})
