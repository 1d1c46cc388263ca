"""What decides a NAAF run: its temperature, how the threshold is estimated and used, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scan import loss_and_augmentation

if TYPE_CHECKING:
    import optuna


def naaf(trial: optuna.Trial) -> None:
    """Draws the fields of a NAAF run; the published temperature, 20, lies inside."""
    loss_and_augmentation(trial)
    trial.suggest_float("method.attention_scale", 1.0, 40.0, log=True)
    trial.suggest_float("method.mismatch_penalty", 0.25, 4.0, log=True)
    trial.suggest_float("method.threshold_momentum", 0.0, 0.95)
    trial.suggest_categorical("method.test_threshold", ["safe", "learned"])
    trial.suggest_float("method.propagation_scale", 0.0, 20.0)
