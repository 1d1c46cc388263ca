"""What decides a RAU run: its blocks, which further targets count, the losses' weights, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .composed import composed

if TYPE_CHECKING:
    import optuna

LOSS_WEIGHTS = [0.0, 0.01, 0.03, 0.1, 0.3, 1.0]
"""0 leaves a loss out; each of the others is about three times the one before."""


def rau(trial: optuna.Trial) -> None:
    """Draws the fields of a RAU run, whose base loss is searched as that of its baselines.

    Theta is a cosine, or a quantile of the batch's cosines: what means "alike" differs between encoders.
    """
    composed(trial)
    trial.suggest_int("method.blocks", 1, 4)
    trial.suggest_categorical("method.wiring", ["chain", "parallel"])
    trial.suggest_categorical("method.shared_blocks", [False, True])
    trial.suggest_categorical("method.isu_weight", LOSS_WEIGHTS)
    trial.suggest_categorical("method.isu_sides", ["both", "source"])
    trial.suggest_categorical("method.csu_weight", LOSS_WEIGHTS)
    trial.suggest_categorical("method.csu_form", ["soft", "supcon"])
    trial.suggest_categorical("method.csu_mask", ["deterministic", "sampled"])
    trial.suggest_categorical("method.theta_mode", ["absolute", "quantile"])
    trial.suggest_float("method.theta", 0.2, 0.999)
    trial.suggest_categorical("method.dr_weight", LOSS_WEIGHTS)
    trial.suggest_categorical("method.dr_root", [False, True])
