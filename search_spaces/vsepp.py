"""What decides a VSE++ run: the optimizer, the margin, the negatives and the similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def vsepp(trial: optuna.Trial) -> None:
    """Draws the fields of a VSE++ run. Where all negatives are summed there is no warm-up on their sum."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512])
    trial.suggest_float("method.margin", 0.05, 0.4)
    trial.suggest_categorical("method.order", [False, True])
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    if trial.suggest_categorical("method.mining", ["hardest", "sum"]) == "hardest":
        trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
