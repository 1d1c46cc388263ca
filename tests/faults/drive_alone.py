"""The driver of a sweep whose trials have one worker each: four of them, of which the third cannot but end in NaN."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from raytrain.cluster.connect import connect
from raytrain.cluster.options import SweepOptions
from raytrain.cluster.sweep import sweep
from tests.faults.drive_sweep import third_explodes
from tests.small_runs import small_run

TRIALS, EPOCHS = 4, 60


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
