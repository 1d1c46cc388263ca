"""`raytrain.history` and `raytrain.trials`: a run's epochs and a sweep's trials, as rows for a DataFrame or a plot."""

from __future__ import annotations

import os
from typing import Any

from raytrain.api.outside_errors import public_call


def history(run: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """A row per epoch of a run, also while it trains.

    Args:
        run: its folder.

    Returns:
        {"epoch", "step", and every metric of the epoch by its name, such as "val/rsum"} of each epoch, in order.

    Raises:
        UsageError: the folder is no run's.
        RaytrainError: its journal cannot be read.
    """
    from raytrain.tracking.run_lookup import run_named
    from raytrain.tracking.run_record import read_run

    with public_call(None):
        record = read_run(run_named(os.fspath(run)))
    return [
        {"epoch": epoch, "step": event.get("step"), **(event.get("metrics") or {})}
        for epoch, event in record.epoch_events.items()
    ]


def trials(sweep: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """A row per trial of a sweep that has ended, also while the sweep runs.

    Args:
        sweep: its folder.

    Returns:
        {"number", "run", "state", "value": best of the selection metric, "epochs", "error", "cost": where one was
        minimised, and every searched field by its dotted name} of each trial, in order.

    Raises:
        UsageError: the folder is no sweep's.
        RaytrainError: its journal cannot be read.
    """
    from raytrain.errors import UsageError
    from raytrain.tracking.journal import Journal
    from raytrain.tracking.run_lookup import run_named
    from raytrain.tracking.sweep_record import is_sweep

    with public_call(None):
        folder = run_named(os.fspath(sweep))
        events = Journal(folder).read()
    if not is_sweep(folder, events):
        raise UsageError(f"{folder} is no sweep")
    by_number = {int(event["number"]): event for event in events if event["event"] == "trial"}
    fields = ("number", "run", "state", "value", "epochs", "error", "cost")
    return [
        {name: event[name] for name in fields if name in event} | dict(event.get("params") or {})
        for _, event in sorted(by_number.items())
    ]
