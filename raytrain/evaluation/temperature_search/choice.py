"""The choice among re-ranking settings, cross-validated over the queries: the best of hundreds is partly luck.

Queries are divided into folds by image, an image and its captions in one fold. A setting is chosen on some folds by the
rule of one standard error: the simplest one whose recalls there are within one standard error of the best one's, where
the error is that of their difference over the folds. Chosen on all folds but one and measured on that one, fold by
fold, the rule itself is measured on queries that it has not seen: what it gains there may be expected of new queries.
Scores are normalised over all queries throughout, which takes none of their answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.reranking.normaliser import MODES, Mode

FOLDS = 10
PUBLISHED_SCALES = (20.0, 170.0)


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


class Recalls(NamedTuple):
    """What a setting is worth: the sum of its recalls in percent, and (F,) the hits of each fold's queries."""

    total: float
    by_fold: Tensor


@dataclass(frozen=True)
class QueryFolds:
    """Folds of the queries of both directions.

    Attributes:
        of_item: (N,) int64 fold of each image.
        item_of_text: (M,) int64 image of each text.
        number: F.
    """

    of_item: Tensor
    item_of_text: Tensor
    number: int

    @classmethod
    def draw(cls, item_of_text: Tensor, items: int, seed: int, number: int = FOLDS) -> QueryFolds:
        """Folds of nearly equal numbers of images that have a text; fewer folds than `number` for fewer images."""
        answered = torch.bincount(item_of_text, minlength=items).nonzero()[:, 0]
        number = max(1, min(number, len(answered)))
        order = torch.randperm(len(answered), generator=torch.Generator().manual_seed(seed))
        of_item = torch.zeros(items, dtype=torch.int64)
        of_item[answered[order]] = torch.arange(len(answered)) % number
        return cls(of_item, item_of_text, number)

    def part(self, items: Tensor, item_of_text: Tensor) -> QueryFolds:
        """The folds of some of the images, and of texts that each belong to one of them."""
        return QueryFolds(self.of_item[items], item_of_text, self.number)

    def of(self, direction: Direction) -> Tensor:
        """(Q,) fold of each query of a direction."""
        return self.of_item if direction == "i2t" else self.of_item[self.item_of_text]

    def sums(self, direction: Direction, ranks: Tensor, ks: Sequence[int]) -> Tensor:
        """(K, F) hits at each of `ks` of the queries of each fold, from (K, Q) ranks; -1 is no hit."""
        hits = torch.stack([((ranks >= 0) & (ranks < k)) for k in ks]).sum(0).double()
        return torch.zeros(len(ranks), self.number, dtype=torch.float64).index_add_(1, self.of(direction), hits)

    def counts(self, direction: Direction, ranks: Tensor) -> Tensor:
        """(F,) number of queries of each fold that have a positive, from (Q,) ranks."""
        answered = (ranks >= 0).double()
        return torch.zeros(self.number, dtype=torch.float64).index_add_(0, self.of(direction), answered)


@dataclass(frozen=True)
class HeldOut:
    """Recalls of the queries of each fold, by settings that were chosen on the other folds.

    Attributes:
        before: (F,) sum of recalls in percent without re-ranking.
        after: (F,) with the setting that the other folds chose.
    """

    before: Tensor
    after: Tensor

    def plus(self, other: HeldOut) -> HeldOut:
        """The sums of both directions, fold by fold."""
        return HeldOut(self.before + other.before, self.after + other.after)

    @property
    def gain(self) -> float:
        """Mean over folds, in percent."""
        return float((self.after - self.before).mean())

    @property
    def standard_error(self) -> float | None:
        """Of the gain, over folds; None for a single fold."""
        return standard_error(self.after - self.before)

    def as_dict(self) -> dict[str, float | int | None]:
        """{"before", "after", "gain", "standard_error", "folds"} as files and terminals show them."""
        error = self.standard_error
        return {
            "before": round(float(self.before.mean()), 4),
            "after": round(float(self.after.mean()), 4),
            "gain": round(self.gain, 4),
            "standard_error": None if error is None else round(error, 4),
            "folds": len(self.before),
        }


@dataclass(frozen=True)
class Choice:
    """A direction's setting, and what the rule that chose it gains on queries that it has not seen."""

    setting: Setting
    held_out: HeldOut


def standard_error(values: Tensor) -> float | None:
    """Standard error of the mean of (F,) values; None for a single one."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None


def complexity(setting: Setting) -> tuple[int, float, int]:
    """The order of simplicity: off, cross, product, additive, mtfn; then by the scale's distance from a published one.

    The distance is that of the logarithms. Of equal ones the smaller bank is the simpler.
    """
    order: tuple[Mode, ...] = ("off", *(mode for mode in MODES if mode != "off"))
    distance = 0.0
    if setting.mode != "off":
        distance = min(abs(math.log(setting.scale / published)) for published in PUBLISHED_SCALES)
    return order.index(setting.mode), distance, setting.bank


def simplest_of_the_best(recalls: Tensor) -> int:
    """Position of the first setting within one standard error of the best, and above the very first.

    Args:
        recalls: (S, F) recalls of S settings in each of two folds or more; the simplest comes first, which is off.
    """
    mean = recalls.mean(1)
    behind = recalls[int(mean.argmax())] - recalls  # of equal ones the first is the best
    near = behind.mean(1) <= behind.std(1) / math.sqrt(recalls.shape[1])
    near[1:] &= mean[1:] > mean[0]
    return int(near.nonzero()[0, 0])


def choose(recalls: Mapping[Setting, Tensor]) -> Choice:
    """The setting of a direction by the rule of one standard error; off where the rule gains nothing on held-out folds.

    Args:
        recalls: {setting: (F,) sum of recalls in percent of each fold's queries}; OFF is among them.
    """
    settings = sorted(recalls, key=complexity)
    table = torch.stack([recalls[setting] for setting in settings])
    number = table.shape[1]
    before = recalls[OFF]
    if number < 3:  # a choice needs two folds for its errors, and one to be tried on
        return Choice(OFF, HeldOut(before, before))
    after = before.clone()
    for fold in range(number):
        others = torch.arange(number) != fold
        after[fold] = table[simplest_of_the_best(table[:, others]), fold]
    held_out = HeldOut(before, after)
    chosen = settings[simplest_of_the_best(table)]
    return Choice(chosen if held_out.gain > 0 else OFF, held_out)
