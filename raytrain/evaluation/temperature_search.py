"""Search of re-ranking temperatures over one similarity matrix, in this process: hundreds of settings in seconds.

Image-to-text recalls depend on one temperature and text-to-image recalls on the other, so each direction has a small
study of its own, and the best pair is put together from the two: n + n evaluations stand for n x n settings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.many_temperatures import Grid
from raytrain.evaluation.protocols import Protocol, Result, evaluate, find_protocol, folds
from raytrain.evaluation.ranking import check_owner, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.recall import DIRECTIONS, Direction, metrics_of_counts
from raytrain.evaluation.reranking import Mode, Temperatures

if TYPE_CHECKING:
    import optuna

SCALE_RANGE = (1.0, 500.0)
GRID = Grid(2.0, steps=8, octaves=8)  # 2 to 480, eight scales an octave
PUBLISHED_SCALES = (20.0, 170.0)
SEARCHED_MODES: tuple[Mode, ...] = ("cross", "product", "additive")

Setting = tuple[Mode, float]  # ("off", 0.0) leaves a direction as it is
OFF: Setting = ("off", 0.0)


@dataclass(frozen=True)
class SearchResult:
    """The best temperatures and what they change.

    Attributes:
        best: what to pass to `protocols.evaluate`.
        before: the result without re-ranking.
        after: the result with `best`.
        tried: {direction: {(mode, scale): sum of that direction's recalls}}.
        seconds: wall time of the search.
    """

    best: Temperatures
    before: Result
    after: Result
    tried: Mapping[Direction, Mapping[Setting, float]]
    seconds: float

    @property
    def settings_tried(self) -> int:
        """Distinct (direction, mode, scale) that were evaluated."""
        return sum(len(scores) for scores in self.tried.values())


def search_temperatures(
    similarity: Tensor, item_of_text: Tensor, trials: int, seed: int, protocol: str | Protocol
) -> SearchResult:
    """The temperatures with the best rsum on a validation matrix.

    Scales are drawn log-uniformly from 1 to 500 and rounded to three digits, so that what is written down is what was
    tried. "off" and both published scales go first, and re-ranking is kept only where it gains.

    Args:
        similarity: (M, N) validation scores of M texts against N images; never test scores.
        item_of_text: (M,) position of the image that each text belongs to.
        trials: settings to draw in each direction.
        seed: of the sampler.
        protocol: its name, or a Protocol.

    Raises:
        UsageError: Optuna is not installed, or fewer than one trial.
    """
    if trials < 1:
        raise UsageError(f"trials is {trials}; the search needs at least one")
    began = time.perf_counter()
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = check_owner(similarity, item_of_text)
    before = evaluate(similarity, owner, protocol)
    tried: dict[Direction, dict[Setting, float]] = {
        direction: _search_direction(similarity, owner, protocol, direction, trials, seed) for direction in DIRECTIONS
    }
    best = _best_pair(tried)
    after = evaluate(similarity, owner, protocol, best) if best.active else before
    return SearchResult(best, before, after, tried, time.perf_counter() - began)


def _search_direction(
    similarity: Tensor, item_of_text: Tensor, protocol: Protocol, direction: Direction, trials: int, seed: int
) -> dict[Setting, float]:
    """{(mode, scale): sum of recalls of that direction}."""
    tried = {OFF: _recall_sum(similarity, item_of_text, protocol, direction, OFF)}
    study = _new_study(seed + DIRECTIONS.index(direction))
    for mode in SEARCHED_MODES:
        for scale in PUBLISHED_SCALES:
            study.enqueue_trial({"mode": mode, "scale": scale})
    for _ in range(trials):
        trial = study.ask()
        mode = SEARCHED_MODES[SEARCHED_MODES.index(trial.suggest_categorical("mode", SEARCHED_MODES))]
        scale = float(f"{trial.suggest_float('scale', *SCALE_RANGE, log=True):.3g}")
        if (mode, scale) not in tried:
            tried[mode, scale] = _recall_sum(similarity, item_of_text, protocol, direction, (mode, scale))
        study.tell(trial, tried[mode, scale])
    return tried


def _recall_sum(
    similarity: Tensor, item_of_text: Tensor, protocol: Protocol, direction: Direction, setting: Setting
) -> float:
    mode, scale = setting
    temperatures = Temperatures(mode, scale, scale)
    total = 0.0
    for fold in folds(similarity, item_of_text, protocol.folds):
        if direction == "i2t":
            counts = image_to_text_counts(temperatures.image_to_text(fold.similarity), fold.item_of_text)
        else:
            counts = text_to_image_counts(temperatures.text_to_image(fold.similarity), fold.item_of_text)
        total += metrics_of_counts({direction: counts})["rsum"]
    return total / protocol.folds


def _best_pair(tried: Mapping[Direction, Mapping[Setting, float]]) -> Temperatures:
    """The best two scales that share a mode; a direction stays off where re-ranking gains nothing."""
    best, best_score = Temperatures("off"), sum(scores[OFF] for scores in tried.values())
    for mode in SEARCHED_MODES:
        chosen = {}
        for direction, scores in tried.items():
            here = {OFF: scores[OFF]} | {setting: score for setting, score in scores.items() if setting[0] == mode}
            chosen[direction] = max(here, key=lambda setting: here[setting])  # the first of equals, so OFF
        score = sum(tried[direction][setting] for direction, setting in chosen.items())
        if score > best_score:
            i2t, t2i = (None if chosen[direction] == OFF else chosen[direction][1] for direction in DIRECTIONS)
            best, best_score = Temperatures(mode, i2t, t2i), score
    return best


def _new_study(seed: int) -> optuna.Study:
    """An in-memory study; quiet, since hundreds of lines of trials would tell nobody anything."""
    try:
        import optuna
    except ImportError:
        raise UsageError("searching temperatures needs Optuna: pip install '.[ray]'") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    finally:
        optuna.logging.set_verbosity(level)
