"""What decides an SGRAF run: its module and the size of its alignments, the attention, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def sgraf(trial: optuna.Trial) -> None:
    """Draws the fields of an SGRAF run; only graph reasoning has steps."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_float("method.margin", 0.05, 0.4)
    # the paper has none
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    trial.suggest_categorical("method.sim_dim", [32, 64, 128, 256])
    trial.suggest_float("method.dropout", 0.0, 0.5)
    trial.suggest_categorical("method.region_norm", ["feature", "none"])
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    if trial.suggest_categorical("method.module", ["sgr", "saf"]) == "sgr":
        trial.suggest_int("method.steps", 1, 4)
