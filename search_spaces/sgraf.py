"""What decides an SGRAF run: its module and the size of its alignments, the attention, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scan import loss_and_augmentation

if TYPE_CHECKING:
    import optuna


def sgraf(trial: optuna.Trial) -> None:
    """Draws the fields of an SGRAF run; only graph reasoning has steps."""
    loss_and_augmentation(trial)
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    trial.suggest_categorical("method.sim_dim", [32, 64, 128, 256])
    trial.suggest_float("method.dropout", 0.0, 0.5)
    trial.suggest_categorical("method.region_norm", ["feature", "none"])
    if trial.suggest_categorical("method.module", ["sgr", "saf"]) == "sgr":
        trial.suggest_int("method.steps", 1, 4)
