"""The driver that the tests kill: a sweep of two trials whose first cannot but end in NaN."""

from __future__ import annotations

from typing import Any

from raytrain.sweeps.options import SweepOptions
from tests.sweeps.sweep_driver import drive

TRIALS, EPOCHS = 2, 6


def first_explodes(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e30} if trial.number == 0 else None


if __name__ == "__main__":
    options = SweepOptions(trials=TRIALS, workers=2, grace_epochs=EPOCHS, rerank_trials=10)
    drive(first_explodes, "killed", EPOCHS, options, mlflow=True)
