"""The search of re-ranking temperatures over one similarity matrix: hundreds of settings in seconds.

Image-to-text recalls depend on one temperature and text-to-image recalls on the other, so each direction is searched
separately and the choices of both form the pair: n + n evaluations cover n x n settings. The search tries a grid of 64
scales in every mode, all in one pass over the matrix (`many_temperatures`), then the published scales, then `trials`
settings per direction from Optuna's TPE, which starts with the results of the grid. What is taken of them is chosen by
cross-validation over the queries (`choice`), which needs no further pass: a fold is a part of the ranks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from raytrain.errors import UsageError, argument, pip_install
from raytrain.evaluation.protocols.protocols import Protocol, Result, evaluate, find_protocol, folds
from raytrain.evaluation.ranking.counts import check_owner
from raytrain.evaluation.ranking.recall import DIRECTIONS, Direction
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.normaliser import MODES, SEARCHED_MODES, SOFTMAX_MODES, Mode
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.evaluation.temperature_search.choice import (
    OFF,
    PUBLISHED_SCALES,
    Choice,
    HeldOut,
    QueryFolds,
    Recalls,
    Setting,
    choose,
)
from raytrain.evaluation.temperature_search.log_means import Grid
from raytrain.evaluation.temperature_search.recalls import GRID, Part, grid_recalls, setting_recalls, together

if TYPE_CHECKING:
    import optuna

SCALE_RANGE = (1.0, 500.0)
FIRST_ITEMS = (2.0, 5.0, 10.0, 15.0, 20.0, 50.0)  # K1 of mtfn mode


@dataclass(frozen=True)
class SearchResult:
    """The chosen temperatures and their effect.

    Attributes:
        best: temperatures for `protocols.evaluate`.
        held_out: {direction: recalls of held-out queries by the rule that chose them}.
        before: the result without re-ranking.
        after: the result with `best`.
        tried: {direction: {setting: sum of that direction's recalls}}.
        seconds: wall time of the search.
    """

    best: Temperatures
    before: Result
    after: Result
    tried: Mapping[Direction, Mapping[Setting, float]]
    seconds: float
    held_out: Mapping[Direction, HeldOut]

    @property
    def held_out_rsum(self) -> HeldOut:
        """rsum of held-out queries, both directions together."""
        return self.held_out["i2t"].plus(self.held_out["t2i"])

    @property
    def settings_tried(self) -> int:
        """Number of distinct (direction, setting) that were evaluated."""
        return sum(len(scores) for scores in self.tried.values())


def search_temperatures(
    similarity: Tensor,
    item_of_text: Tensor,
    trials: int,
    seed: int,
    protocol: str | Protocol,
    modes: Sequence[Mode] = SOFTMAX_MODES,
    bank: QueryBank | None = None,
    bank_sizes: Sequence[int] = (),
) -> SearchResult:
    """The temperatures chosen on a validation matrix (`choice.choose`); each direction has its own mode.

    Trials draw scales log-uniformly from 1 to 500 and round them to three digits, so that files hold exactly what was
    tried. A direction is re-ranked only where that raises the recalls of held-out queries.

    Args:
        similarity: (M, N) validation scores of M texts against N images; never test scores.
        item_of_text: (M,) position of the image that each text belongs to.
        trials: settings per direction that TPE draws, in addition to the grid; 0 needs no Optuna.
        seed: of the sampler and of the folds.
        protocol: its name, or a Protocol.
        modes: the modes to try.
        bank: scores of training queries against this gallery; None normalises over the queries themselves.
        bank_sizes: numbers of queries of the bank to try; () tries all of them at once.

    Raises:
        UsageError: Optuna is not installed, a negative number of trials, no modes or unknown ones, mtfn mode with a
            bank, or bank sizes without a bank.
    """
    if trials < 0:
        raise UsageError(f"trials is {trials}; give 0 or more")
    wanted = searchable(modes)
    if bank is not None and "mtfn" in wanted:
        raise UsageError("mtfn mode sorts by ranks among the other queries, which a bank lacks: leave it out")
    if bank is None and any(bank_sizes):
        raise UsageError("bank sizes need a bank of training queries, and none was given")
    began = time.perf_counter()
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = check_owner(similarity, item_of_text)
    before = evaluate(similarity, owner, protocol)
    sizes = {direction: _sizes(bank, bank_sizes, direction) for direction in DIRECTIONS}
    query_folds = QueryFolds.draw(owner.cpu(), similarity.shape[1], seed)
    parts = [
        Part(
            fold,
            bank.part(fold.texts, fold.items) if bank else None,
            query_folds.part(fold.items.cpu(), fold.item_of_text.cpu()),
        )
        for fold in folds(similarity, owner, protocol.folds)
    ]
    tried = _try_grid(parts, wanted, sizes)
    choices: dict[Direction, Choice] = {}
    for direction in DIRECTIONS:
        _try_trials(parts, wanted, sizes[direction], direction, trials, seed, tried[direction])
        number = query_folds.counts(direction, before.ranks[direction].cpu())
        choices[direction] = choose({key: 100 * value.by_fold / number for key, value in tried[direction].items()})
    best = _pair(choices["i2t"].setting, choices["t2i"].setting, bank.seed if bank else 0)
    after = evaluate(similarity, owner, protocol, best, bank) if best.active else before
    totals = {name: {key: value.total for key, value in values.items()} for name, values in tried.items()}
    held_out = {direction: choice.held_out for direction, choice in choices.items()}
    return SearchResult(best, before, after, totals, time.perf_counter() - began, held_out)


def searchable(modes: Sequence[str]) -> list[Mode]:
    """These modes, checked, in the order of SEARCHED_MODES.

    Raises:
        UsageError: no mode, or one that cannot be searched.
    """
    wanted: list[Mode] = [mode for mode in SEARCHED_MODES if mode in modes]
    if not wanted or len(wanted) < len(set(modes)):
        raise UsageError(f"modes are '{','.join(modes)}'; choose from {', '.join(SEARCHED_MODES)}")
    return wanted


def _sizes(bank: QueryBank | None, wanted: Sequence[int], direction: Direction) -> tuple[int, ...]:
    """Bank sizes to try in a direction, at most the size of the bank; (0,) without a bank."""
    if bank is None:
        return (0,)
    available = bank.sizes(direction)
    return tuple(sorted({min(size, available) for size in (wanted or (available,))} - {0}))


def _try_grid(
    parts: Sequence[Part], modes: Sequence[Mode], sizes: Mapping[Direction, Sequence[int]]
) -> dict[Direction, dict[Setting, Recalls]]:
    """{direction: {setting: recalls}} for the grid and the published scales in every mode."""
    tried: dict[Direction, dict[Setting, Recalls]] = {
        direction: {OFF: setting_recalls(parts, direction, OFF)} for direction in DIRECTIONS
    }
    softmax = [mode for mode in modes if mode in SOFTMAX_MODES]
    for grid in (GRID, *(Grid(scale) for scale in PUBLISHED_SCALES)) if softmax else ():
        by_part = [grid_recalls(part, grid, softmax, sizes) for part in parts]
        for direction in DIRECTIONS:
            for setting in by_part[0][direction]:
                tried[direction][setting] = together([recalls[direction][setting] for recalls in by_part])
    if "mtfn" in modes:
        for direction in DIRECTIONS:
            for first in FIRST_ITEMS:
                tried[direction][Setting("mtfn", first)] = setting_recalls(parts, direction, Setting("mtfn", first))
    return tried


def _try_trials(
    parts: Sequence[Part],
    modes: Sequence[Mode],
    sizes: Sequence[int],
    direction: Direction,
    trials: int,
    seed: int,
    tried: dict[Setting, Recalls],
) -> None:
    """Evaluate `trials` settings that TPE draws, given all results so far, and add them to `tried`."""
    softmax = [mode for mode in modes if mode in SOFTMAX_MODES]
    if trials == 0 or not softmax or not sizes:
        return
    study = _new_study(seed + DIRECTIONS.index(direction))
    _remember(study, tried, softmax, sizes)
    for _ in range(trials):
        trial = study.ask()
        mode = MODES[MODES.index(trial.suggest_categorical("mode", softmax))]
        size = sizes[trial.suggest_int("bank", 0, len(sizes) - 1)] if len(sizes) > 1 else sizes[0]
        setting = Setting(mode, float(f"{trial.suggest_float('scale', *SCALE_RANGE, log=True):.3g}"), size)
        if setting not in tried:
            tried[setting] = setting_recalls(parts, direction, setting)
        study.tell(trial, tried[setting].total)


def _remember(
    study: optuna.Study, tried: Mapping[Setting, Recalls], modes: Sequence[Mode], sizes: Sequence[int]
) -> None:
    """Add the settings that were tried without the study to its trials."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import create_trial

    ranges: dict[str, BaseDistribution] = {
        "mode": CategoricalDistribution(modes),
        "scale": FloatDistribution(*SCALE_RANGE, log=True),
    }
    if len(sizes) > 1:
        ranges["bank"] = IntDistribution(0, len(sizes) - 1)
    for setting, value in tried.items():
        if setting.mode in modes:
            params = {"mode": setting.mode, "scale": setting.scale}
            params |= {"bank": list(sizes).index(setting.bank)} if len(sizes) > 1 else {}
            study.add_trial(create_trial(params=params, distributions=ranges, value=value.total))


def _pair(i2t: Setting, t2i: Setting, bank_seed: int) -> Temperatures:
    """The settings of both directions."""
    if i2t == t2i == OFF:
        return Temperatures("off")
    mode = i2t.mode if i2t != OFF else t2i.mode
    return Temperatures(
        mode,
        None if i2t == OFF else i2t.scale,
        None if t2i == OFF else t2i.scale,
        t2i_mode=t2i.mode if t2i not in (OFF, t2i._replace(mode=mode)) else None,
        i2t_bank=i2t.bank,
        t2i_bank=t2i.bank,
        bank_seed=bank_seed,
    )


def _new_study(seed: int) -> optuna.Study:
    """An in-memory study; its log of one line per trial is switched off."""
    try:
        import optuna
    except ImportError:
        needed = f"searching temperatures needs Optuna: {pip_install('ray')}"
        raise UsageError(f"{needed}; or give {argument('trials', 0)}") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    finally:
        optuna.logging.set_verbosity(level)
