"""The driver of a sweep, one trial after the other, whose second trial learns nothing and is stopped early."""

from __future__ import annotations

from typing import Any

from raytrain.sweeps.options import SweepOptions
from tests.sweeps.sweep_driver import drive

TRIALS, EPOCHS, GRACE = 4, 6, 2


def second_learns_nothing(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e-12} if trial.number == 1 else None


if __name__ == "__main__":
    options = SweepOptions(trials=TRIALS, concurrent=1, grace_epochs=GRACE, rerank_trials=0)
    drive(second_learns_nothing, "stopped", EPOCHS, options)
