"""What decides a PCME run: how distances become probabilities, how wide Gaussians begin, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def pcme(trial: optuna.Trial) -> None:
    """Draws the fields of a PCME run."""
    trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256])
    trial.suggest_categorical("method.samples", [1, 3, 7, 12])
    trial.suggest_float("method.match_scale", 2.0, 30.0, log=True)
    trial.suggest_float("method.match_shift", 0.0, 30.0)
    trial.suggest_float("method.log_sigma_start", -6.0, 0.0)
    trial.suggest_float("method.uniformity_weight", 0.0, 20.0)
    trial.suggest_float("method.vib_weight", 1e-6, 1e-2, log=True)
    trial.suggest_categorical("method.vib_form", ["exact", "official"])
    trial.suggest_categorical("method.positives", ["image", "pair"])
    trial.suggest_categorical("method.search_by", ["mean", "matmul", "match_probability"])
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)
