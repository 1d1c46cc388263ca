"""What decides a DVSE run: how many views, how their losses are weighted and kept apart, and the optimizer.

The paper leaves several of these open; each is a named switch of raytrain.config.DVSEConfig, searched here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .vse_infinity import encoders, pair_loss

if TYPE_CHECKING:
    import optuna


def dvse(trial: optuna.Trial) -> None:
    """Draws the fields of a DVSE run. With one view nothing is left to weight, to pool or to keep apart."""
    trial.suggest_float("optim.lr", 1e-4, 5e-3, log=True)
    # the variance that weights a view's loss is estimated over the batch's negatives
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512, 1024])
    encoders(trial)
    pair_loss(trial)
    views = trial.suggest_categorical("method.views", [1, 2, 4, 6, 8])
    if views == 1:
        return
    weight = trial.suggest_categorical(
        "method.weight_fn", ["inv", "softmax_neg", "var", "softmax_pos", "kendall", "none"]
    )
    if weight != "none":
        trial.suggest_categorical("method.weight_gradient", [False, True])
    if weight in ("softmax_neg", "softmax_pos"):
        trial.suggest_float("method.weight_tau", 1e-3, 1.0, log=True)
    trial.suggest_float("method.orth_weight", 1e-3, 1.0, log=True)
    trial.suggest_categorical("method.orth_schedule", ["adaptive", "constant", "ramp_up", "decay"])
    trial.suggest_categorical("method.view_pooling", ["shared", "per_view"])
    score = trial.suggest_categorical("method.score", ["max", "mean", "log_mean_exp", "learned"])
    if score == "learned":
        # its pooling weights learn from the pooled score's own loss, and from nothing else
        trial.suggest_float("method.fused_weight", 0.1, 2.0, log=True)
    if score == "log_mean_exp":
        trial.suggest_float("method.score_scale", 1.0, 64.0, log=True)
