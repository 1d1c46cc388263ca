"""The choice of a setting: folds by image, one standard error, simplicity, and what held-out queries say of it."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from raytrain.evaluation.temperature_search.choice import (
    FOLDS,
    OFF,
    HeldOut,
    QueryFolds,
    Setting,
    choose,
    complexity,
    simplest_of_the_best,
    standard_error,
)

CROSS, PRODUCT = Setting("cross", 20.0), Setting("product", 160.0)


def test_folds_keep_an_image_and_its_captions_together_and_are_of_one_size() -> None:
    owner = torch.arange(30).repeat_interleave(5)
    owner = owner[torch.randperm(150, generator=torch.Generator().manual_seed(1))]
    folds = QueryFolds.draw(owner, 33, seed=0)  # three images have no text
    assert folds.number == FOLDS
    assert torch.equal(folds.of("t2i"), folds.of("i2t")[owner])
    assert torch.bincount(folds.of("i2t")[:30]).tolist() == [3] * 10
    assert torch.equal(folds.of_item, QueryFolds.draw(owner, 33, seed=0).of_item)
    assert not torch.equal(folds.of_item, QueryFolds.draw(owner, 33, seed=1).of_item)
    assert QueryFolds.draw(torch.tensor([2, 2, 0]), 4, 0).number == 2
    part = folds.part(torch.tensor([4, 7]), torch.tensor([1, 0, 1]))
    assert part.of("t2i").tolist() == [int(folds.of_item[7]), int(folds.of_item[4]), int(folds.of_item[7])]


def test_hits_and_queries_are_counted_per_fold() -> None:
    folds = QueryFolds(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), 2)
    ranks = torch.tensor([[0, 4, -1], [9, 10, -1]])
    assert folds.sums("i2t", ranks, (1, 5, 10)).tolist() == [[3, 2], [1, 0]]
    assert folds.counts("i2t", ranks[0]).tolist() == [1, 1]
    assert folds.counts("t2i", torch.tensor([0, 3, 2])).tolist() == [2, 1]


def test_simplicity_is_the_mode_first_and_then_the_nearness_to_a_published_scale() -> None:
    order = [
        OFF, CROSS, Setting("cross", 170.0, 500), Setting("cross", 24.0), Setting("cross", 10.0),
        Setting("cross", 480.0), Setting("product", 20.0), Setting("additive", 20.0), Setting("mtfn", 20.0),
    ]  # fmt: skip
    assert sorted({*order}, key=complexity) == order


def by_hand(recalls: list[list[float]]) -> int:
    """The rule in plain numbers: the first that is above off and no more than a standard error behind the best."""
    best = max(recalls, key=statistics.fmean)
    for place, row in enumerate(recalls):
        behind = [a - b for a, b in zip(best, row, strict=True)]
        error = statistics.stdev(behind) / math.sqrt(len(row))
        if statistics.fmean(behind) <= error and (place == 0 or statistics.fmean(row) > statistics.fmean(recalls[0])):
            return place
    raise AssertionError("the best is within an error of itself")


@pytest.mark.parametrize("seed", range(20))
def test_the_rule_of_one_standard_error_written_out(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    recalls = 100 + torch.randn(6, 1, generator=generator) + torch.randn(6, 8, generator=generator).double()
    assert simplest_of_the_best(recalls) == by_hand(recalls.tolist())


def table(*means: float, spread: float = 1.0, seed: int = 0) -> list[Tensor]:
    """Recalls in ten folds around each mean."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(means), 10, generator=generator, dtype=torch.float64)
    noise -= noise.mean(1, keepdim=True)
    return [mean + spread * row for mean, row in zip(means, noise, strict=True)]


def test_a_simpler_mode_is_preferred_to_one_that_is_better_by_less_than_a_standard_error() -> None:
    off, cross, product = table(280, 290, 290.3)
    choice = choose({PRODUCT: product, OFF: off, CROSS: cross})
    assert choice.setting == CROSS
    assert choice.held_out.gain == pytest.approx(10, abs=1)
    off, cross, product = table(280, 290, 295)
    assert choose({PRODUCT: product, OFF: off, CROSS: cross}).setting == PRODUCT


def test_nothing_is_re_ranked_where_the_gain_is_within_a_standard_error_or_held_out_queries_lose() -> None:
    off, cross = table(280, 280.2)
    assert choose({OFF: off, CROSS: cross}).setting == OFF
    # the settings are nothing but noise: each wins on the folds where it happens to win
    generator = torch.Generator().manual_seed(0)
    noise = {Setting("cross", 2.0 + n): 280 + torch.randn(10, generator=generator).double() for n in range(200)}
    choice = choose({OFF: torch.full((10,), 280.0, dtype=torch.float64), **noise})
    assert choice.held_out.gain <= 0
    assert choice.setting == OFF


def test_each_fold_is_measured_with_what_the_others_choose() -> None:
    recalls = {OFF: table(280)[0], CROSS: table(284, seed=1)[0], PRODUCT: table(287, seed=2)[0]}
    choice = choose(recalls)
    settings = [OFF, CROSS, PRODUCT]
    for fold in range(10):
        others = [n for n in range(10) if n != fold]
        chosen = settings[by_hand([recalls[setting][others].tolist() for setting in settings])]
        assert choice.held_out.after[fold] == recalls[chosen][fold]
    assert torch.equal(choice.held_out.before, recalls[OFF])


def test_too_few_folds_choose_nothing() -> None:
    for number in (1, 2):
        choice = choose({OFF: torch.zeros(number), CROSS: torch.ones(number)})
        assert choice.setting == OFF
        assert choice.held_out.gain == 0


def test_held_out_recalls_add_up_and_are_shown_with_their_error() -> None:
    texts = HeldOut(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0]))
    both = texts.plus(HeldOut(torch.tensor([10.0, 10.0]), torch.tensor([10.0, 10.0])))
    assert both.as_dict() == {"before": 11.5, "after": 13.5, "gain": 2.0, "standard_error": 1.0, "folds": 2}
    assert standard_error(torch.tensor([3.0])) is None
    assert HeldOut(torch.ones(1), torch.ones(1)).as_dict()["standard_error"] is None
