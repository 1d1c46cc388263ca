"""The search of re-ranking temperatures over one similarity matrix: hundreds of settings in seconds.

Image-to-text recalls depend on one temperature and text-to-image recalls on the other, so each direction is searched
separately and the best of both form the pair: n + n evaluations cover n x n settings. The search tries a grid of 64
scales in every mode, all in one pass over the matrix (`many_temperatures`), then the published scales, then `trials`
settings per direction from Optuna's TPE, which starts with the results of the grid.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.protocols import Fold, Protocol, Result, evaluate, find_protocol, folds
from raytrain.evaluation.ranking.counts import check_owner, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.recall import DIRECTIONS, KS, Direction
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.normaliser import MODES, SOFTMAX_MODES, Mode
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.evaluation.temperature_search.log_means import Grid, log_means
from raytrain.evaluation.temperature_search.many_temperatures import (
    Best,
    additive_ranks,
    image_ranks,
    recall_sum,
    text_ranks,
)

if TYPE_CHECKING:
    import optuna

SCALE_RANGE = (1.0, 500.0)
PUBLISHED_SCALES = (20.0, 170.0)
GRID = Grid(2.0, steps=8, octaves=8)  # 2 to 480, eight scales per octave
COARSE = Grid(2.0, steps=2, octaves=8)  # for additive mode, which has no compiled ranks
ADDITIVE_ELEMENTS = 20_000_000  # scores above which only trials use additive mode: its grid would take minutes
FIRST_ITEMS = (2.0, 5.0, 10.0, 15.0, 20.0, 50.0)  # K1 of mtfn mode


class Setting(NamedTuple):
    """Re-ranking of one direction; ("off", 0, 0) leaves its scores as they are.

    Attributes:
        mode: as in `reranking.fast_rerank`.
        scale: inverse temperature; K1 in mtfn mode.
        bank: number of training queries to normalise over; 0 normalises over the queries themselves.
    """

    mode: Mode
    scale: float
    bank: int = 0


OFF = Setting("off", 0.0)


@dataclass(frozen=True)
class SearchResult:
    """The best temperatures and their effect.

    Attributes:
        best: temperatures for `protocols.evaluate`.
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
    """The temperatures with the best rsum on a validation matrix; each direction has its own mode.

    Trials draw scales log-uniformly from 1 to 500 and round them to three digits, so that files hold exactly what was
    tried. A direction is re-ranked only where that raises its recalls.

    Args:
        similarity: (M, N) validation scores of M texts against N images; never test scores.
        item_of_text: (M,) position of the image that each text belongs to.
        trials: settings per direction that TPE draws, in addition to the grid; 0 needs no Optuna.
        seed: of the sampler.
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
    parts = [
        (fold, bank.part(fold.texts, fold.items) if bank else None) for fold in folds(similarity, owner, protocol.folds)
    ]
    tried = _try_grid(parts, wanted, sizes)
    for direction in DIRECTIONS:
        _try_trials(parts, wanted, sizes[direction], direction, trials, seed, tried[direction])
    best = _best_pair(tried, bank.seed if bank else 0)
    after = evaluate(similarity, owner, protocol, best, bank) if best.active else before
    return SearchResult(best, before, after, tried, time.perf_counter() - began)


def searchable(modes: Sequence[str]) -> list[Mode]:
    """These modes, checked, in the order of MODES.

    Raises:
        UsageError: no mode, or one that cannot be searched.
    """
    wanted: list[Mode] = [mode for mode in MODES if mode in modes and mode != "off"]
    if not wanted or len(wanted) < len(set(modes)):
        raise UsageError(f"modes are '{','.join(modes)}'; choose from {', '.join(m for m in MODES if m != 'off')}")
    return wanted


Part = tuple[Fold, QueryBank | None]
"""A fold of the matrix, and the bank for its gallery."""


def _sizes(bank: QueryBank | None, wanted: Sequence[int], direction: Direction) -> tuple[int, ...]:
    """Bank sizes to try in a direction, at most the size of the bank; (0,) without a bank."""
    if bank is None:
        return (0,)
    available = bank.sizes(direction)
    return tuple(sorted({min(size, available) for size in (wanted or (available,))} - {0}))


def _try_grid(
    parts: Sequence[Part], modes: Sequence[Mode], sizes: Mapping[Direction, Sequence[int]]
) -> dict[Direction, dict[Setting, float]]:
    """{direction: {setting: sum of recalls in percent}} for the grid and the published scales in every mode."""
    tried: dict[Direction, dict[Setting, float]] = {
        direction: {OFF: _recall_sum(parts, direction, OFF)} for direction in DIRECTIONS
    }
    softmax = [mode for mode in modes if mode in SOFTMAX_MODES]
    for grid in (GRID, *(Grid(scale) for scale in PUBLISHED_SCALES)) if softmax else ():
        by_fold = [grid_recalls(fold, bank, grid, softmax, sizes) for fold, bank in parts]
        for direction in DIRECTIONS:
            for setting in by_fold[0][direction]:
                tried[direction][setting] = sum(recalls[direction][setting] for recalls in by_fold) / len(parts)
    if "mtfn" in modes:
        for direction in DIRECTIONS:
            for first in FIRST_ITEMS:
                tried[direction][Setting("mtfn", first)] = _recall_sum(parts, direction, Setting("mtfn", first))
    return tried


def grid_recalls(
    fold: Fold,
    bank: QueryBank | None,
    grid: Grid,
    modes: Sequence[Mode],
    sizes: Mapping[Direction, Sequence[int]],
    compiled: bool | None = None,
) -> dict[Direction, dict[Setting, float]]:
    """{direction: {setting: sum of recalls in percent}} of one matrix, for every scale of a grid.

    Additive mode tries two scales per octave; over a bank, and on more than ADDITIVE_ELEMENTS scores, it tries none.

    Args:
        fold: the matrix.
        bank: for its gallery; None normalises over the queries themselves.
        grid: of scales.
        modes: softmax modes to try.
        sizes: {direction to evaluate: bank sizes}; (0,) without a bank.
        compiled: as in `log_means`.
    """
    scores, owner = fold.similarity, fold.item_of_text
    if not scores.is_floating_point() or scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    recalls: dict[Direction, dict[Setting, float]] = {direction: {} for direction in sizes}
    over_texts = over_images = None
    if bank is None:
        over_texts, over_images = log_means(scores, grid, "t2i" in sizes, "i2t" in sizes, compiled)
    for direction, counts in sizes.items():
        for size in counts:
            ranker = image_ranks if direction == "i2t" else text_ranks
            table = over_images if direction == "i2t" else over_texts
            if direction == "i2t" and bank is not None and bank.i2t is not None:
                table = log_means(bank.i2t[:, :size].contiguous(), grid, over_rows=False, compiled=compiled)[1]
            if direction == "t2i" and bank is not None and bank.t2i is not None:
                table = log_means(bank.t2i[:size], grid, over_columns=False, compiled=compiled)[0]
            assert table is not None
            best = Best(table.best, table.best_offset) if bank is None else None
            for mode, share in (("cross", 1.0), ("product", 0.5)):
                if mode in modes:
                    ranks = ranker(scores, owner, table.mean * share, best if mode == "cross" else None, compiled)
                    for scale, value in zip(grid.scales, recall_sum(ranks, KS).tolist(), strict=True):
                        recalls[direction][Setting(MODES[MODES.index(mode)], scale, size)] = value
    if "additive" in modes and over_texts and over_images and scores.numel() <= ADDITIVE_ELEMENTS:
        stride = max(1, grid.steps // COARSE.steps)
        coarse = Grid(grid.first, grid.steps // stride, grid.octaves)
        tables = over_texts.mean[::stride], over_images.mean[::stride]
        for direction, ranks in zip(DIRECTIONS, additive_ranks(scores, owner, coarse, tables, beta=1.0), strict=True):
            if direction in sizes:
                for scale, value in zip(coarse.scales, recall_sum(ranks, KS).tolist(), strict=True):
                    recalls[direction][Setting("additive", scale)] = value
    return recalls


def _try_trials(
    parts: Sequence[Part],
    modes: Sequence[Mode],
    sizes: Sequence[int],
    direction: Direction,
    trials: int,
    seed: int,
    tried: dict[Setting, float],
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
            tried[setting] = _recall_sum(parts, direction, setting)
        study.tell(trial, tried[setting])


def _remember(study: optuna.Study, tried: Mapping[Setting, float], modes: Sequence[Mode], sizes: Sequence[int]) -> None:
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
            study.add_trial(create_trial(params=params, distributions=ranges, value=value))


def _recall_sum(parts: Sequence[Part], direction: Direction, setting: Setting) -> float:
    """Sum of the recalls of a direction in percent, mean over the folds."""
    total = 0.0
    for fold, bank in parts:
        if setting.mode in ("cross", "product"):  # a grid of one scale is faster
            recalls = grid_recalls(fold, bank, Grid(setting.scale), [setting.mode], {direction: (setting.bank,)})
            total += recalls[direction][setting]
            continue
        chosen = Temperatures(setting.mode, setting.scale, setting.scale, i2t_bank=setting.bank, t2i_bank=setting.bank)
        if direction == "i2t":
            rescoring = chosen.normaliser(direction, fold.similarity, bank.i2t if bank else None)
            ranks = image_to_text_counts(fold.similarity, fold.item_of_text, rescoring).ranks()
        else:
            rescoring = chosen.normaliser(direction, fold.similarity, bank.t2i if bank else None)
            ranks = text_to_image_counts(fold.similarity, fold.item_of_text, rescoring).ranks()
        total += float(recall_sum(ranks[None], KS)[0])
    return total / len(parts)


def _best_pair(tried: Mapping[Direction, Mapping[Setting, float]], bank_seed: int) -> Temperatures:
    """The best setting of each direction; off where re-ranking does not raise its recalls."""
    # max returns the first of equals, and OFF was tried first
    i2t, t2i = (max(scores, key=lambda setting: scores[setting]) for scores in (tried[d] for d in DIRECTIONS))
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
        raise UsageError("searching temperatures needs Optuna: pip install '.[ray]'; or give --trials 0") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    finally:
        optuna.logging.set_verbosity(level)
