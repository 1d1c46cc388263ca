"""The driver that the tests kill: a sweep of three trials whose third cannot but end in NaN."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from raytrain.cluster.connect import connect
from raytrain.cluster.options import SweepOptions
from raytrain.cluster.sweep import sweep
from tests.small_runs import small_run

TRIALS, EPOCHS = 3, 6


def third_explodes(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e30} if trial.number == 2 else None


if __name__ == "__main__":
    root = Path(sys.argv[1])
    connect()
    result = sweep(
        third_explodes,
        small_run(root, num_epochs=EPOCHS),
        SweepOptions(trials=TRIALS, workers=2, grace_epochs=EPOCHS, rerank_trials=10),
        name="killed",
        resume="resume" in sys.argv,
        tracking_uri=f"sqlite:///{root}/mlflow.db",
    )
    print(json.dumps(result))
