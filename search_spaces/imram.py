"""What decides an IMRAM run: the direction of the attention, its steps and temperature, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scan import loss_and_augmentation

if TYPE_CHECKING:
    import optuna


def imram(trial: optuna.Trial) -> None:
    """Draws the fields of an IMRAM run; one step refines nothing."""
    loss_and_augmentation(trial)
    trial.suggest_categorical("method.direction", ["t2i", "i2t", "both"])
    # the published values, 9 and 11, lie inside
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    if trial.suggest_int("method.steps", 1, 4) > 1:
        trial.suggest_categorical("method.refined_norm", [False, True])
