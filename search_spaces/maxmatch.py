"""What decides a MaxMatch run: how many elements, how they are matched and kept apart, and the optimizer.

Weights and margins of its own losses are not known, so their ranges are wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def maxmatch(trial: optuna.Trial) -> None:
    """Draws the fields of a MaxMatch run. With one element nothing is assigned, and nothing is kept apart."""
    trial.suggest_float("optim.lr", 2e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 100, 128, 200])
    trial.suggest_categorical("method.image_lr_scale", [0.1, 0.3, 1.0])
    trial.suggest_categorical("method.set_lr_scale", [0.1, 0.3, 1.0])
    trial.suggest_float("method.margin", 0.05, 0.3)
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 4.0)
    trial.suggest_float("method.mmd_weight", 1e-3, 1e-1, log=True)
    trial.suggest_float("method.infonce_weight", 1e-3, 1.0, log=True)
    trial.suggest_float("method.global_weight", 1e-3, 1.0, log=True)
    trial.suggest_float("method.global_margin", 0.0, 0.9)
    trial.suggest_int("method.iterations", 1, 6)
    trial.suggest_float("method.dropout", 0.0, 0.3)
    trial.suggest_float("data.region_drop", 0.0, 0.3)
    trial.suggest_float("data.word_drop", 0.1, 0.3)
    # above five elements assignments are solved pair by pair, which is slow
    if trial.suggest_categorical("method.views", [1, 2, 3, 4, 5]) == 1:
        return
    trial.suggest_float("method.intra_weight", 1e-3, 1.0, log=True)
    trial.suggest_float("method.intra_margin", 0.0, 0.9)
    trial.suggest_float("method.diversity_weight", 1e-3, 1e-1, log=True)
    if trial.suggest_categorical("method.pair_score", ["mean", "exponential"]) == "exponential":
        trial.suggest_categorical("method.alpha", [4.0, 8.0, 16.0, 32.0, 64.0])
