"""What moves small heads over frozen features, whatever the method: for sweeps of about ten trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def heads(trial: optuna.Trial) -> None:
    """Draws learning rate, dropout of both sides, word drop and the average that is evaluated.

    D, K, batch size, losses and epochs stay the recipe's, so that methods can be given the same search.
    """
    trial.suggest_float("optim.lr", 5e-4, 5e-3, log=True)
    trial.suggest_float("encoder.image_dropout", 0.0, 0.5)
    trial.suggest_float("encoder.text_dropout", 0.0, 0.5)
    trial.suggest_float("data.word_drop", 0.0, 0.3)
    trial.suggest_categorical("optim.ema_decay", [0.0, 0.98, 0.99, 0.997])
