"""What decides a run of two towers: the optimizer, the size of the MLPs and the temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def two_towers(trial: optuna.Trial) -> None:
    """Draws the fields of a run of two towers."""
    trial.suggest_float("optim.lr", 1e-4, 5e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512])
    trial.suggest_categorical("method.hidden", [128, 256, 512, 1024])
    trial.suggest_float("method.dropout", 0.0, 0.5)
    trial.suggest_float("method.scale", 4.0, 100.0, log=True)
    trial.suggest_categorical("method.scale_learned", [True, False])
