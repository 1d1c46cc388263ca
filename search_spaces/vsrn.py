"""What decides a VSRN run: the graph over regions, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def vsrn(trial: optuna.Trial) -> None:
    """Draws the fields of a VSRN run; the captioning loss depends on how captions come, so it is the recipe's."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512])
    trial.suggest_float("method.margin", 0.05, 0.4)
    # the paper has none
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
    trial.suggest_int("method.blocks", 0, 6)
    trial.suggest_categorical("method.graph_norm", ["features", "regions"])
