"""The driver of a sweep, one trial after the other, whose second trial learns nothing and is stopped early.

Then a study of the same recipe, which the sweep's first trial has trained, and of one other margin.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from raytrain.config import override
from raytrain.studies.train import run_study
from raytrain.sweeps.options import SweepOptions
from tests.runs import small_run
from tests.studies.in_process import margins
from tests.sweeps.sweep_driver import drive

TRIALS, EPOCHS, GRACE = 4, 6, 2


def second_learns_nothing(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e-12} if trial.number == 1 else None


if __name__ == "__main__":
    options = SweepOptions(trials=TRIALS, concurrent=1, grace_epochs=GRACE, rerank_trials=0)
    drive(second_learns_nothing, "stopped", EPOCHS, options)
    base = override(small_run(Path(sys.argv[1]), num_epochs=EPOCHS), {"name": "margins"})
    print(json.dumps(run_study(margins(), "margins", "small", base, 1, SweepOptions(concurrent=1))))
