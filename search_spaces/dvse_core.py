"""The few fields of a DVSE run that move it most, within ranges that rarely fail: for sweeps of about ten trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .vse_infinity_core import vse_infinity_core

if TYPE_CHECKING:
    import optuna


def dvse_core(trial: optuna.Trial) -> None:
    """Draws what `vse_infinity_core` draws, the number of views and how strongly they are kept apart."""
    vse_infinity_core(trial)
    trial.suggest_categorical("method.views", [2, 4, 8])
    trial.suggest_float("method.orth_weight", 1e-2, 1.0, log=True)
