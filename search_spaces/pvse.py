"""What decides a PVSE run: how many embeddings, how they are kept apart and together, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def pvse(trial: optuna.Trial) -> None:
    """Draws the fields of a PVSE run. With one embedding there is nothing to keep apart, nor a discrepancy."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512])
    trial.suggest_float("method.margin", 0.05, 0.4)
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 4.0)
    trial.suggest_float("method.dropout", 0.0, 0.3)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    if trial.suggest_categorical("method.views", [1, 2, 3, 4, 6]) > 1:
        trial.suggest_float("method.mmd_weight", 1e-3, 1e-1, log=True)
        trial.suggest_float("method.diversity_weight", 1e-3, 1.0, log=True)
