"""What decides a SCAN run: the form of the attention, its two temperatures, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def scan(trial: optuna.Trial) -> None:
    """Draws the fields of a SCAN run. The published temperatures lie inside: 9 and 6, 4 and 5 (COCO 20)."""
    loss_and_augmentation(trial)
    trial.suggest_categorical("method.direction", ["t2i", "i2t"])
    trial.suggest_float("method.attention_scale", 1.0, 30.0, log=True)
    if trial.suggest_categorical("method.pooling", ["log_sum_exp", "mean"]) == "log_sum_exp":
        trial.suggest_float("method.pooling_scale", 1.0, 40.0, log=True)


def loss_and_augmentation(trial: optuna.Trial) -> None:
    """Draws what methods that compare words with regions share: optimizer, triplet loss and size augmentation."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_float("method.margin", 0.05, 0.4)
    # the papers have none
    trial.suggest_float("method.mean_warmup_epochs", 0.0, 2.0)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
