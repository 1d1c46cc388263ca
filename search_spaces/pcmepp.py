"""What decides a PCME++ run: how distances become probabilities, how wide Gaussians begin, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .vse_infinity import encoders

if TYPE_CHECKING:
    import optuna


def pcmepp(trial: optuna.Trial) -> None:
    """Draws the fields of a PCME++ run."""
    trial.suggest_float("optim.lr", 1e-4, 5e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512, 1024])
    encoders(trial)
    if trial.suggest_float("method.infonce_weight", 0.0, 2.0) > 0:
        trial.suggest_float("method.temperature", 0.01, 0.2, log=True)
    trial.suggest_float("method.match_scale", 1.0, 20.0, log=True)
    trial.suggest_float("method.match_shift", 0.0, 20.0)
    trial.suggest_float("method.log_variance_start", -12.0, -4.0)
    trial.suggest_categorical("method.variance_norm", [True, False])
    trial.suggest_float("method.vib_weight", 1e-6, 1e-2, log=True)
    trial.suggest_float("method.pseudo_weight", 0.0, 1.0)
    trial.suggest_categorical("method.positives", ["image", "pair"])
    if trial.suggest_categorical("method.mix", ["none", "mixup", "cutmix", "both"]) != "none":
        trial.suggest_float("method.mix_share", 0.05, 0.75)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
