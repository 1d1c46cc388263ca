"""Verdicts on simulated data: true effects are seen, none is not, and one seed decides nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raytrain.evaluation.significance import Ranks
from raytrain.studies.study import Claim, Measure
from raytrain.studies.verdict import (
    Measured,
    decide,
    difference,
    outcome,
    over_seeds,
    spearman,
    verdict,
)
from tests.studies.in_process import margins

BASELINE, VARIANT = "margin 0.2", "margin 0.1"


def side(rate: float, seeds: int, first: int = 0, images: int = 300, runs: str = "", noise: float = 0.01) -> Measured:
    """A variant whose recalls at 1, 5 and 10 are about `rate`, more by `noise` or less in each seed."""
    ranks: dict[int, Ranks] = {}
    hard = np.random.default_rng(0).random(images)  # the same images for all
    owner = np.repeat(np.arange(images), 2)
    for seed in range(seeds):
        random = np.random.default_rng(1000 * first + seed)
        chance = rate + noise * random.standard_normal()
        right = hard + 0.3 * random.standard_normal(images) < chance
        texts = hard[owner] + 0.3 * random.standard_normal(len(owner)) < chance
        ranks[seed] = {"i2t": np.where(right, 0, 20), "t2i": np.where(texts, 0, 20), "item_of_text": owner}
    values = {seed: 300 * (np.mean(of["i2t"] == 0) + np.mean(of["t2i"] == 0)) for seed, of in ranks.items()}
    return Measured({seed: f"{runs or first}-{seed}" for seed in ranks}, {"rsum": values}, ranks)


def judged(baseline: Measured, variant: Measured, expected: Any = "below") -> tuple[str, str | None]:
    study = replace(margins(), claims=[Claim("claimed", VARIANT, "rsum", expected)])
    decided = decide(study, {BASELINE: baseline, VARIANT: variant})
    return decided[0].outcome, verdict(decided, 3)[0]


def test_a_true_effect_agrees_or_does_not_as_the_claim_says() -> None:
    high, low = side(0.6, 3, 1), side(0.45, 3, 2)
    assert judged(high, low) == ("agrees", "agrees")
    assert judged(low, high) == ("does not agree", "does not agree")
    assert judged(low, high, "above") == ("agrees", "agrees")


def test_no_effect_cannot_be_told_but_seldom() -> None:
    outcomes = [judged(side(0.5, 3, 2 * at + 10), side(0.5, 3, 2 * at + 11))[0] for at in range(60)]
    assert outcomes.count("cannot be told") >= 54  # 95 % of them, and what chance allows


def test_one_seed_decides_nothing_and_noise_between_seeds_widens_the_interval() -> None:
    assert judged(side(0.6, 1, 1), side(0.4, 1, 2))[0] == "cannot be told"
    steady = difference(side(0.5, 3, 1), side(0.5, 3, 2), "rsum", True)
    noisy = difference(side(0.5, 3, 1, noise=0.1), side(0.5, 3, 2, noise=0.1), "rsum", True)
    assert steady is not None and noisy is not None and noisy.variance > 2 * steady.variance


def test_the_same_runs_measured_in_two_ways_are_paired() -> None:
    """What seeds have in common cancels: a change of ten queries in each run is seen through noise of 0.1."""
    before = side(0.5, 3, 1, noise=0.1, runs="same")
    changed = {
        seed: {**of, "t2i": np.where(np.arange(len(of["t2i"])) < 40, 0, of["t2i"])} for seed, of in before.ranks.items()
    }
    after = Measured(before.runs, before.values, changed)
    paired = difference(after, before, "rsum", True)
    apart = difference(Measured({0: "x", 1: "y", 2: "z"}, after.values, changed), before, "rsum", True)
    assert paired is not None and apart is not None
    assert paired.value == pytest.approx(apart.value) and paired.variance < 0.5 * apart.variance


def test_equal_means_equal_in_every_run() -> None:
    before = side(0.5, 1, 1, runs="same")
    assert judged(before, before, "equal")[0] == "agrees"  # exact, also of one seed
    assert judged(before, side(0.5, 1, 2), "equal")[0] == "cannot be told"
    assert judged(side(0.6, 3, 1), side(0.4, 3, 2), "equal")[0] == "does not agree"


def test_numbers_of_runs_are_compared_by_welch() -> None:
    a, b = [1.0, 2.0, 3.0], [2.0, 2.5, 4.5, 3.0]
    var_a, var_b = np.var(a, ddof=1) / 3, np.var(b, ddof=1) / 4
    result = over_seeds(a, b)
    assert (result.value, result.variance) == (pytest.approx(-1.0), pytest.approx(var_a + var_b))
    assert result.df == pytest.approx((var_a + var_b) ** 2 / (var_a**2 / 2 + var_b**2 / 3))
    assert over_seeds([1.0], [2.0, 3.0]).variance == math.inf
    assert over_seeds([1.0, 1.0], [1.0, 1.0]).interval(0.95) == (0.0, 0.0)
    values = {"overlap": {0: 1.0, 1: 2.0}}
    same = Measured({0: "a", 1: "b"}, values, {})
    assert difference(same, same, "overlap", False) == over_seeds([0.0, 0.0], [])
    assert difference(same, Measured({}, {}, {}), "overlap", False) is None


def test_missing_runs_leave_a_claim_open() -> None:
    decided = decide(margins(), {BASELINE: side(0.5, 3, 1), VARIANT: Measured({}, {"rsum": {}}, {})})
    assert (decided[0].outcome, decided[0].difference, decided[0].seeds) == ("cannot be told", None, 0)


def test_the_whole_is_what_its_claims_are() -> None:
    study = margins()
    (one,) = decide(study, {BASELINE: side(0.6, 3, 1), VARIANT: side(0.4, 3, 2)})
    open_claim, failed = replace(one, outcome="cannot be told"), replace(one, outcome="does not agree")
    assert verdict([one, one], 3) == ("agrees", "Agrees with the paper: both claims hold.")
    assert verdict([one], 3)[1] == "Agrees with the paper: the claim holds."
    assert verdict([one, open_claim], 3) == (
        "cannot be told", "Cannot be told with 3 seeds. 1 of 2 claims holds; the other is open.",
    )  # fmt: skip
    assert verdict([one, open_claim, failed], 3)[1] == "Does not agree with the paper: 1 of 3 claims fails."
    assert verdict([open_claim], 1)[1] == "Cannot be told with 1 seed."
    assert verdict([], 2) == (None, "The paper leaves this open; below is what 2 seeds show.")
    assert outcome(one.claim, over_seeds([1.0, 2.0], [1.0, 2.0]), (-1.0, 1.0), 2) == "cannot be told"
    assert Measure("rsum", "").is_recall


def test_spearman_is_that_of_ranks_with_ties() -> None:
    from scipy.stats import spearmanr

    xs, ys = [1.0, 2.0, 2.0, 4.0, 9.0, 3.0], [2.0, 1.0, 3.0, 3.0, 8.0, 7.0]
    of_orders = [abs(spearmanr(xs, order).statistic) for order in itertools.permutations(ys)]
    rho = spearmanr(xs, ys).statistic
    at_least = sum(other >= abs(rho) - 1e-9 for other in of_orders) / len(of_orders)
    assert spearman(xs, ys) == pytest.approx((rho, at_least))
    many_x, many_y = [*xs, 5.0, 7.0, 0.5], [*ys, 9.0, 4.0, 6.0]
    expected = spearmanr(many_x, many_y)
    assert spearman(many_x, many_y) == pytest.approx((expected.statistic, expected.pvalue))
    assert spearman([1, 2, 3], [1, 2, 3]) is None


@pytest.mark.parametrize("count", [4, 5, 9, 20])
def test_a_perfect_order_of_few_points_is_no_proof(count: int) -> None:
    assert spearman(range(count), [x**2 for x in range(count)]) == pytest.approx((1.0, 2 / math.factorial(count)))
