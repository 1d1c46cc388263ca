"""The driver of a sweep by `raytrain.sweep`: one trial after the other, the second learns nothing and is stopped early.

Then a study of the same recipe, which the sweep's first trial has trained, and of one other margin.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import raytrain
from raytrain.config import override
from raytrain.studies.train import run_study
from raytrain.sweeps.options import SweepOptions, SweepSettings
from tests.runs import small_run
from tests.studies.in_process import margins

TRIALS, EPOCHS, GRACE = 4, 6, 2


def second_learns_nothing(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e-12} if trial.number == 1 else None


if __name__ == "__main__":
    small = small_run(Path(sys.argv[1]), num_epochs=EPOCHS)
    budget: SweepSettings = {"trials": TRIALS, "concurrent": 1, "grace_epochs": GRACE, "rerank_trials": 0}
    swept = raytrain.sweep(second_learns_nothing, small, name="stopped", tracking="none", **budget)
    print(json.dumps(swept.as_dict()))
    base = override(small, {"name": "margins"})
    print(json.dumps(run_study(margins(), "margins", "small", base, 1, SweepOptions(concurrent=1))))
