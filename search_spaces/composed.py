"""What decides a run of the composed-retrieval baselines: the composition, its scale, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def composed(trial: optuna.Trial) -> None:
    """Draws the fields that all of composed retrieval shares; half a query is no candidate."""
    trial.suggest_float("optim.lr", 1e-5, 4e-3, log=True)
    # in-batch targets are the negatives
    trial.suggest_categorical("optim.batch_size", [128, 256, 512, 1024, 4096])
    trial.suggest_float("method.scale", 4.0, 100.0, log=True)
    trial.suggest_categorical("method.known_positives", ["masked", "negative"])
    composition = trial.suggest_categorical("method.composition", ["fusion", "combiner", "tirg", "sum"])
    if composition in ("fusion", "combiner"):
        trial.suggest_float("method.dropout", 0.0, 0.6)
    if composition == "fusion":
        trial.suggest_categorical("method.residual", [True, False])
