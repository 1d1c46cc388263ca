"""What decides a VSE-infinity run: the optimizer, heads and dropout, the loss of pairs and the size augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def vse_infinity(trial: optuna.Trial) -> None:
    """Draws the fields of a VSE-infinity run; the search that a comparison with DVSE should be given as well."""
    trial.suggest_float("optim.lr", 1e-4, 5e-3, log=True)
    trial.suggest_categorical("optim.batch_size", [64, 128, 256, 512, 1024])
    encoders(trial)
    pair_loss(trial)
    trial.suggest_float("data.region_drop", 0.0, 0.4)
    trial.suggest_float("data.word_drop", 0.0, 0.4)


def encoders(trial: optuna.Trial) -> None:
    """Draws what image-text methods share: D, the text's head, dropout, and the average that is evaluated.

    Words have no head and no `encoder.text_dropout`: around a recipe of words those two change nothing.
    """
    trial.suggest_categorical("encoder.dim", [128, 256, 512, 1024])
    trial.suggest_categorical("encoder.text_head", ["method", "mlp"])
    trial.suggest_float("encoder.image_dropout", 0.0, 0.5)
    trial.suggest_float("encoder.text_dropout", 0.0, 0.5)
    # an average over more steps than a short run has would still hold its first weights
    trial.suggest_categorical("optim.ema_decay", [0.0, 0.98, 0.99, 0.997])


def pair_loss(trial: optuna.Trial, largest_margin: float = 0.4, longest_warmup: float = 2.0) -> None:
    """Draws the loss of pairs, and the settings of that loss alone.

    Args:
        largest_margin: of the triplet loss.
        longest_warmup: epochs on the mean over all negatives.
    """
    loss = trial.suggest_categorical("method.loss", ["triplet", "infonce", "both"])
    if loss != "infonce":
        trial.suggest_float("method.margin", 0.05, largest_margin)
        trial.suggest_float("method.mean_warmup_epochs", 0.0, longest_warmup)
    if loss != "triplet":
        trial.suggest_float("method.temperature", 0.01, 0.2, log=True)
    if loss == "both":
        trial.suggest_float("method.infonce_weight", 0.1, 10.0, log=True)
