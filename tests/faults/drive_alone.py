"""The driver of a sweep whose trials have one worker each: four of them, of which the third cannot but end in NaN."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from raytrain.cluster.connect import connect
from raytrain.cluster.options import SweepOptions
from raytrain.cluster.sweep import sweep
from tests.small_runs import small_run

TRIALS, EPOCHS = 4, 60


def third_explodes(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e30} if trial.number == 2 else None


if __name__ == "__main__":
    root = Path(sys.argv[1])
    connect()
    result = sweep(
        third_explodes,
        small_run(root, num_epochs=EPOCHS),
        SweepOptions(trials=TRIALS, grace_epochs=EPOCHS, rerank_trials=0),
        name="alone",
    )
    print(json.dumps(result))
