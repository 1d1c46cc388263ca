"""What decides a half-query composition: how halves are joined, and the ridge of the map between their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def half_queries(trial: optuna.Trial) -> None:
    """Draws the settings of both compositions; there is nothing else, as no gradient is taken."""
    trial.suggest_float("method.text_weight", 0.1, 10.0, log=True)
    trial.suggest_float("method.ridge", 1e-4, 100.0, log=True)
    trial.suggest_categorical("method.centered", [True, False])
    if trial.suggest_categorical("method.halves", ["half_sum", "half_product"]) == "half_product":
        trial.suggest_float("method.floor", -1.0, 0.5)
