"""What decides an MV-VSE run: how many views, how they are made, between which bounds they train, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def mv_vse(trial: optuna.Trial) -> None:
    """Draws the fields of an MV-VSE run. With one view both bounds are the same loss."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512])
    trial.suggest_float("method.margin", 0.0, 0.4)
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 4.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    trial.suggest_categorical("method.view_layer", ["linear", "mlp"])
    trial.suggest_categorical("method.region_pooling", ["max", "encoder"])
    if trial.suggest_categorical("method.bounds", ["hinge", "smooth"]) == "smooth":
        trial.suggest_float("method.smooth_tau", 0.01, 0.5, log=True)
    if trial.suggest_categorical("method.views", [1, 2, 4, 8]) > 1:
        trial.suggest_float("method.upper_weight", 0.0, 1.0)
