"""What decides a CAAN run: what weighs words and regions, the temperature of the affinity, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scan import loss_and_augmentation

if TYPE_CHECKING:
    import optuna


def caan(trial: optuna.Trial) -> None:
    """Draws the fields of a CAAN run."""
    loss_and_augmentation(trial)
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    trial.suggest_categorical("method.hidden_dim", [32, 64, 128, 256])
    trial.suggest_categorical("method.context", ["both", "cross", "intra"])
