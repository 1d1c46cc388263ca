"""What decides a DivE run: how many elements, how sets are compared and refined, the losses, and the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .vse_infinity import encoders, pair_loss

if TYPE_CHECKING:
    import optuna


def dive(trial: optuna.Trial) -> None:
    """Draws the fields of a DivE run. With one element all similarities are the cosine, and nothing is kept apart."""
    trial.suggest_float("optim.lr", 2e-4, 5e-3, log=True)
    # images with all their captions, or pairs: 512 images of Flickr8k are 2,560 captions and a twelfth of an epoch
    trial.suggest_categorical("data.batch_by", ["method", "pair"])
    trial.suggest_categorical("optim.batch_size", [64, 100, 128, 200, 512])
    encoders(trial)
    trial.suggest_categorical("method.image_lr_scale", [0.1, 0.3, 1.0])
    trial.suggest_categorical("method.set_lr_scale", [0.1, 0.3, 1.0])
    # the paper has no warm-up; on small data the hardest negatives collapse without one
    pair_loss(trial, largest_margin=0.3, longest_warmup=4.0)
    trial.suggest_float("method.mmd_weight", 1e-3, 1e-1, log=True)
    trial.suggest_int("method.iterations", 1, 6)
    trial.suggest_categorical("method.shared_block", [True, False])
    trial.suggest_categorical("method.mask_mode", ["proper", "official"])
    trial.suggest_float("method.dropout", 0.0, 0.3)
    trial.suggest_float("data.region_drop", 0.0, 0.3)
    trial.suggest_float("data.word_drop", 0.1, 0.3)
    if trial.suggest_categorical("method.views", [1, 2, 3, 4, 5, 6]) == 1:
        return
    trial.suggest_float("method.diversity_weight", 1e-3, 1e-1, log=True)
    trial.suggest_categorical("method.diversity_of", ["residual", "final"])
    similarity = trial.suggest_categorical(
        "method.similarity", ["smooth_chamfer", "chamfer", "max", "match_probability"]
    )
    if similarity == "smooth_chamfer":
        trial.suggest_categorical("method.alpha", [4.0, 8.0, 16.0, 32.0, 64.0])
