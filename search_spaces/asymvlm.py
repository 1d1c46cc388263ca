"""What decides an AsymVLM run: the density, how certain captions begin, the likelihood's weight, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def asymvlm(trial: optuna.Trial) -> None:
    """Draws the fields of an AsymVLM run; the space of the embeddings is the recipe's."""
    trial.suggest_float("optim.lr", 1e-4, 4e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512, 1024])
    trial.suggest_categorical("method.density", ["power_spherical", "von_mises_fisher"])
    trial.suggest_float("method.concentration_start", 5.0, 200.0, log=True)
    trial.suggest_categorical("method.hidden", [32, 64, 128, 256, 512])
    trial.suggest_float("method.likelihood_weight", 0.0, 1.0)
    trial.suggest_categorical("method.same_image", ["masked", "negative"])
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
