"""A search over methods: which one, and with which settings, on one recipe's data, encoders and budget.

The study draws the method first, then what all of them search, then what is the method's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.dive import dive
from search_spaces.dvse import dvse
from search_spaces.vse_infinity import vse_infinity

if TYPE_CHECKING:
    import optuna

METHODS = {"vse_infinity": vse_infinity, "dvse": dvse, "dive": dive}
# all methods have these, so each is drawn for each: no method then inherits one that the recipe chose for another, and
# the sampler models it together with the method. The bounds hold what the methods' own spaces span
BATCH_SIZES = (64, 128, 200, 256)  # pairs, or images with all captions for DivE: 256 of them are 1,280 captions
VIEWS = (1, 2, 3, 4, 5, 6, 8)  # DVSE and DivE


def image_text(trial: optuna.Trial) -> None:
    """Draws `method.kind` and the fields of that method, each name with one set of bounds whatever the method."""
    kind = trial.suggest_categorical("method.kind", list(METHODS))
    drawn = {
        "optim.lr": trial.suggest_float("optim.lr", 1e-4, 2e-3, log=True),
        "optim.batch_size": trial.suggest_categorical("optim.batch_size", BATCH_SIZES),
        "method.margin": trial.suggest_float("method.margin", 0.05, 0.4),
        "method.mean_warmup_epochs": trial.suggest_float("method.mean_warmup_epochs", 0.0, 4.0),
        "data.region_drop": trial.suggest_float("data.region_drop", 0.0, 0.4),
        "data.word_drop": trial.suggest_float("data.word_drop", 0.0, 0.4),
    }
    METHODS[kind](_Rest(trial, drawn, {"method.views": VIEWS}))  # type: ignore[arg-type]


class _Rest:
    """The trial as a method's own space sees it.

    Args:
        trial: that draws what is left.
        drawn: values drawn before; the method's own bounds of them are not used.
        choices: of names whose choices differ by method; Optuna wants one set a name.
    """

    def __init__(self, trial: Any, drawn: Mapping[str, Any], choices: Mapping[str, Sequence[Any]]) -> None:
        self.trial, self.drawn, self.choices = trial, drawn, choices

    def suggest_float(self, name: str, low: float, high: float, **more: Any) -> float:
        return float(self.drawn[name] if name in self.drawn else self.trial.suggest_float(name, low, high, **more))

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> int:
        return int(self.drawn[name] if name in self.drawn else self.trial.suggest_int(name, low, high, **more))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in self.drawn:
            return self.drawn[name]
        return self.trial.suggest_categorical(name, self.choices.get(name, choices))
