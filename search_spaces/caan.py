"""What decides a CAAN run: what weighs words and regions, the temperature of the affinity, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def caan(trial: optuna.Trial) -> None:
    """Draws the fields of a CAAN run."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_float("method.margin", 0.05, 0.4)
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    trial.suggest_categorical("method.hidden_dim", [32, 64, 128, 256])
    trial.suggest_categorical("method.context", ["both", "cross", "intra"])
