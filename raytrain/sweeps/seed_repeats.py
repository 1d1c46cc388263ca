"""Training the best few trials again with other seeds before one of them is chosen, so that no lucky seed decides."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from raytrain.cluster.ray_train import train_on_ray
from raytrain.config import RunConfig, override
from raytrain.errors import Interrupted, RaytrainError, RefusedError
from raytrain.progress import say
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.study import outcome
from raytrain.sweeps.trial import TrialJob
from raytrain.tracking.run_record import RunRecord, read_run


def repeat_over_seeds(ledger: Ledger, job: TrialJob, best: int, seeds: int, head: HeadMonitor) -> list[dict[str, Any]]:
    """Train the `best` highest trials again with the next `seeds` seeds, one run after the other.

    Runs are named `<sweep>-t003-s1`; those that finished in an earlier life of the sweep are not repeated.

    Returns:
        A row per repeated trial: number, run, values (the trial's own first), mean, std (None of one value), cost.
    """
    complete = sorted(
        (
            event
            for event in ledger.recorded.values()
            if event["state"] == "complete" and event.get("value") is not None
        ),
        key=lambda event: (-event["value"], event["number"]),
    )
    rows = []
    for event in complete[:best]:
        values, cost = [event["value"]], {"gpu_seconds": 0.0, "worker_seconds": 0.0}
        for seed in range(ledger.base.seed + 1, ledger.base.seed + seeds + 1):
            record = _repeat(ledger, job, event, seed, head)
            if record.status == "finished" and record.best is not None:
                values.append(record.best)
            for unit in cost:
                cost[unit] += record.metrics.get(f"cost/{unit}", 0.0)
        row = {
            "number": event["number"],
            "run": event["run"],
            "values": values,
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
            "cost": cost,
        }
        ledger.journal.write("repeat", **row)
        rows.append(row)
    return rows


def _repeat(ledger: Ledger, job: TrialJob, event: Mapping[str, Any], seed: int, head: HeadMonitor) -> RunRecord:
    """The record of a trial's run with another seed, which is trained now unless it has ended before."""
    config = job.config(event["number"], event["params"])
    config = override(config, {"name": f"{config.name}-s{seed}", "seed": seed})
    record = read_run(config.folder)
    if outcome(record) is not None:
        return record
    ledger.repeating = config.folder
    say(f"{config.name}: repeats {event['run']} with seed {seed}")
    record = _train(ledger, job, config, head)
    ledger.repeating = None
    return record


def _train(ledger: Ledger, job: TrialJob, config: RunConfig, head: HeadMonitor) -> RunRecord:
    try:
        return train_on_ray(
            config,
            workers=job.workers,
            use_gpu=job.use_gpu,
            resources_per_worker=job.resources_per_worker,
            max_failures=job.max_failures,
            tracking_uri=ledger.mirror.uri,
            parent=job.parent,
            fingerprint=job.fingerprint,
        )
    except (RefusedError, Interrupted):
        raise  # the next run would meet the same
    except RaytrainError as error:
        if outcome(read_run(config.folder)) != "failed":
            head.settled()
        say(f"{config.name} failed: {error}")
        return read_run(config.folder)
