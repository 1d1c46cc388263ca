"""What decides a NAAF run: its temperature, how the threshold is estimated and used, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def naaf(trial: optuna.Trial) -> None:
    """Draws the fields of a NAAF run; the published temperature, 20, lies inside."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_float("method.margin", 0.05, 0.4)
    # the paper has none
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    trial.suggest_float("method.attention_scale", 1.0, 40.0, log=True)
    trial.suggest_float("method.mismatch_penalty", 0.25, 4.0, log=True)
    trial.suggest_float("method.threshold_momentum", 0.0, 0.95)
    trial.suggest_categorical("method.test_threshold", ["safe", "learned"])
    trial.suggest_float("method.propagation_scale", 0.0, 20.0)
