"""The best few trials again with other seeds, before one of them is chosen: one lucky seed should not decide."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from raytrain.cluster.ray_train import train_on_ray
from raytrain.config import override
from raytrain.errors import Interrupted, RaytrainError, RefusedError
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.study import outcome
from raytrain.sweeps.trial import Ledger, trial_config
from raytrain.tracking.follow import say
from raytrain.tracking.progress import progress


def repeat_over_seeds(
    ledger: Ledger, job: Mapping[str, Any], best: int, seeds: int, head: HeadMonitor
) -> list[dict[str, Any]]:
    """Train the `best` highest trials again with the next `seeds` seeds, one run after the other.

    Runs are named `<sweep>-t003-s1`; those that had finished in an earlier life of the sweep are not repeated.

    Returns:
        A row a repeated trial: number, run, values (its own first), mean, std, cost.
    """
    scored = sorted(
        (event for event in ledger.recorded.values() if event["state"] == "complete"),
        key=lambda event: (-event["value"], event["number"]),
    )
    rows = []
    for event in scored[:best]:
        values, cost = [event["value"]], {"gpu_seconds": 0.0, "worker_seconds": 0.0}
        for seed in range(ledger.base.seed + 1, ledger.base.seed + seeds + 1):
            config = trial_config(ledger.base, ledger.sweep, event["number"], event["params"])
            config = override(config, {"name": f"{config.name}-s{seed}", "seed": seed})
            done = progress(config.folder, ledger.select)
            if outcome(done) is None:
                ledger.repeating = config.folder
                say(f"{config.name}: repeats {event['run']} with seed {seed}")
                try:
                    done = train_on_ray(
                        config,
                        workers=job["workers"],
                        use_gpu=job["use_gpu"],
                        resources_per_worker=job["resources_per_worker"],
                        max_failures=job["max_failures"],
                        tracking_uri=ledger.mirror.uri,
                        parent=job["parent"],
                        fingerprint=job["fingerprint"],
                    )
                except (RefusedError, Interrupted):
                    raise  # the next one would meet the same
                except RaytrainError as error:
                    if outcome(progress(config.folder, ledger.select)) != "failed":
                        head.settled()
                    say(f"{config.name} failed: {error}")
                    done = progress(config.folder, ledger.select)
                ledger.repeating = None
            if done.status == "finished" and done.best is not None:
                values.append(done.best)
            for unit in cost:
                cost[unit] += done.metrics.get(f"cost/{unit}", 0.0)
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
