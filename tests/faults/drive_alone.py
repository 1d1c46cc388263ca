"""The driver of a sweep whose trials have one worker each: three of them, of which the second cannot but end in NaN."""

from __future__ import annotations

from typing import Any

from raytrain.sweeps.options import SweepOptions
from tests.sweeps.sweep_driver import drive

TRIALS, EPOCHS = 3, 40


def second_explodes(trial: Any) -> dict[str, Any] | None:
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"optim.lr": 1e30} if trial.number == 1 else None


if __name__ == "__main__":
    drive(second_explodes, "alone", EPOCHS, SweepOptions(trials=TRIALS, grace_epochs=EPOCHS, rerank_trials=0))
