"""A search over methods: which one, and with which settings, on one recipe's data, encoders and budget.

The study draws the method first, then what all of them search, then what is the method's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .dive import dive
from .dvse import dvse
from .vse_infinity import encoders, pair_loss, vse_infinity

if TYPE_CHECKING:
    import optuna

METHODS = {"vse_infinity": vse_infinity, "dvse": dvse, "dive": dive}
# all methods have these, so each is drawn for each: no method then inherits one that the recipe chose for another, and
# the sampler models it together with the method. The bounds hold what the methods' own spaces span
# pairs, or images with all captions for DivE: 256 of them are 1,280 captions
BATCH_SIZES = (64, 100, 128, 200, 256, 512)
VIEWS = (1, 2, 3, 4, 5, 6, 8)  # DVSE and DivE


def image_text(trial: optuna.Trial) -> None:
    """Draws `method.kind` and the fields of that method, each name with one set of bounds whatever the method."""
    kind = trial.suggest_categorical("method.kind", list(METHODS))
    shared: Any = _Once(trial, {"method.views": VIEWS})
    shared.suggest_float("optim.lr", 1e-4, 5e-3, log=True)
    shared.suggest_categorical("optim.batch_size", BATCH_SIZES)
    encoders(shared)
    pair_loss(shared, largest_margin=0.4, longest_warmup=4.0)
    shared.suggest_float("data.region_drop", 0.0, 0.4)
    shared.suggest_float("data.word_drop", 0.0, 0.4)
    METHODS[kind](shared)


class _Once:
    """The trial as a method's own space sees it: a name that was drawn before keeps its value, whatever the bounds.

    Args:
        trial: that draws.
        choices: of names whose choices differ by method; Optuna wants one set a name.
    """

    def __init__(self, trial: Any, choices: Mapping[str, Sequence[Any]]) -> None:
        self.trial, self.choices = trial, choices
        self.drawn: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, **more: Any) -> float:
        if name not in self.drawn:
            self.drawn[name] = self.trial.suggest_float(name, low, high, **more)
        return float(self.drawn[name])

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> int:
        if name not in self.drawn:
            self.drawn[name] = self.trial.suggest_int(name, low, high, **more)
        return int(self.drawn[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self.drawn:
            self.drawn[name] = self.trial.suggest_categorical(name, self.choices.get(name, choices))
        return self.drawn[name]
