"""How many vectors an image gets, and nothing else: for a grid, and for what they cost in an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def views(trial: optuna.Trial) -> None:
    """Draws K of DVSE or DivE."""
    trial.suggest_categorical("method.views", [1, 2, 3, 4, 5, 6, 7, 8])
