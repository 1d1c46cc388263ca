"""What settings of re-ranking are worth on a matrix: the recalls of all its queries, and the hits of each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.evaluation.protocols.protocols import Fold
from raytrain.evaluation.ranking.counts import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.recall import DIRECTIONS, KS, Direction
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.normaliser import MODES, Mode
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.evaluation.temperature_search.choice import QueryFolds, Recalls, Setting
from raytrain.evaluation.temperature_search.log_means import Grid, log_means
from raytrain.evaluation.temperature_search.many_temperatures import (
    Best,
    additive_ranks,
    image_ranks,
    recall_sum,
    text_ranks,
)

GRID = Grid(2.0, steps=8, octaves=8)  # 2 to 480, eight scales per octave
COARSE = Grid(2.0, steps=2, octaves=8)  # for additive mode, which has no compiled ranks
ADDITIVE_ELEMENTS = 20_000_000  # scores above which only trials use additive mode: its grid would take minutes


@dataclass(frozen=True)
class Part:
    """A fold of the protocol, the bank for its gallery, and the folds of cross-validation among its queries."""

    fold: Fold
    bank: QueryBank | None
    query_folds: QueryFolds


def grid_recalls(
    part: Part,
    grid: Grid,
    modes: Sequence[Mode],
    sizes: Mapping[Direction, Sequence[int]],
    compiled: bool | None = None,
) -> dict[Direction, dict[Setting, Recalls]]:
    """{direction: {setting: recalls}} of one matrix, for every scale of a grid.

    Additive mode tries two scales per octave; over a bank, and on more than ADDITIVE_ELEMENTS scores, it tries none.

    Args:
        part: the matrix, and the bank for its gallery; without one the queries themselves are normalised over.
        grid: of scales.
        modes: softmax modes to try.
        sizes: {direction to evaluate: bank sizes}; (0,) without a bank.
        compiled: as in `log_means`.
    """
    scores, owner, bank = part.fold.similarity, part.fold.item_of_text, part.bank
    if not scores.is_floating_point() or scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    recalls: dict[Direction, dict[Setting, Recalls]] = {direction: {} for direction in sizes}
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
                    for scale, value in zip(grid.scales, _recalls_of(part, direction, ranks), strict=True):
                        recalls[direction][Setting(MODES[MODES.index(mode)], scale, size)] = value
    if "additive" in modes and over_texts and over_images and scores.numel() <= ADDITIVE_ELEMENTS:
        stride = max(1, grid.steps // COARSE.steps)
        coarse = Grid(grid.first, grid.steps // stride, grid.octaves)
        tables = over_texts.mean[::stride], over_images.mean[::stride]
        for direction, ranks in zip(DIRECTIONS, additive_ranks(scores, owner, coarse, tables, beta=1.0), strict=True):
            if direction in sizes:
                for scale, value in zip(coarse.scales, _recalls_of(part, direction, ranks), strict=True):
                    recalls[direction][Setting("additive", scale)] = value
    return recalls


def setting_recalls(parts: Sequence[Part], direction: Direction, setting: Setting) -> Recalls:
    """What a setting is worth in a direction."""
    by_part = []
    for part in parts:
        fold, bank = part.fold, part.bank
        if setting.mode in ("cross", "product"):  # a grid of one scale is faster
            sizes = {direction: (setting.bank,)}
            by_part.append(grid_recalls(part, Grid(setting.scale), [setting.mode], sizes)[direction][setting])
            continue
        chosen = Temperatures(setting.mode, setting.scale, setting.scale, i2t_bank=setting.bank, t2i_bank=setting.bank)
        if direction == "i2t":
            rescoring = chosen.normaliser(direction, fold.similarity, bank.i2t if bank else None)
            ranks = image_to_text_counts(fold.similarity, fold.item_of_text, rescoring).ranks()
        else:
            rescoring = chosen.normaliser(direction, fold.similarity, bank.t2i if bank else None)
            ranks = text_to_image_counts(fold.similarity, fold.item_of_text, rescoring).ranks()
        by_part += _recalls_of(part, direction, ranks[None])
    return together(by_part)


def _recalls_of(part: Part, direction: Direction, ranks: Tensor) -> list[Recalls]:
    """What each setting is worth, from (K, Q) ranks."""
    totals, by_fold = recall_sum(ranks, KS).tolist(), part.query_folds.sums(direction, ranks.cpu(), KS)
    return [Recalls(total, sums) for total, sums in zip(totals, by_fold, strict=True)]


def together(parts: Sequence[Recalls]) -> Recalls:
    """A setting's recalls over the folds of a protocol: their mean, and the sums of cross-validation's folds."""
    by_fold = torch.stack([part.by_fold for part in parts]).sum(0)
    return Recalls(sum(part.total for part in parts) / len(parts), by_fold)
