"""What decides an IMRAM run: the direction of the attention, its steps and temperature, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def imram(trial: optuna.Trial) -> None:
    """Draws the fields of an IMRAM run; one step refines nothing."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_float("method.margin", 0.05, 0.4)
    # the paper has none
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    trial.suggest_categorical("method.direction", ["t2i", "i2t", "both"])
    # the published values, 9 and 11, lie inside
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    if trial.suggest_int("method.steps", 1, 4) > 1:
        trial.suggest_categorical("method.refined_norm", [False, True])
