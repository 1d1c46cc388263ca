"""The driver of a sweep, one trial after the other, whose second trial learns nothing and is stopped early."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from raytrain.cluster.connect import connect
from raytrain.cluster.options import SweepOptions
from raytrain.cluster.sweep import sweep
from tests.small_runs import small_run

TRIALS, EPOCHS, GRACE = 4, 6, 2


def second_learns_nothing(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e-12} if trial.number == 1 else None


if __name__ == "__main__":
    root = Path(sys.argv[1])
    connect()
    result = sweep(
        second_learns_nothing,
        small_run(root, num_epochs=EPOCHS),
        SweepOptions(trials=TRIALS, concurrent=1, grace_epochs=GRACE, rerank_trials=0),
        name="stopped",
    )
    print(json.dumps(result))
