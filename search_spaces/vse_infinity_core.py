"""The few fields of a VSE-infinity run that move it most, within ranges that rarely fail: for about ten trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def vse_infinity_core(trial: optuna.Trial) -> None:
    """Draws learning rate, batch size and margin: the search of a baseline for `dvse_core`, around triplet losses."""
    trial.suggest_float("optim.lr", 5e-4, 4e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128])
    trial.suggest_float("method.margin", 0.1, 0.4)
