"""What the runs of a study say of the paper's claims: agrees, does not agree, or cannot be told with so few seeds."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr

from raytrain.evaluation.significance import Ranks, paired_recall_differences, simultaneous
from raytrain.evaluation.variance import Estimate
from raytrain.studies.study import Claim, Study

LEVEL = 0.95
EXACT_ORDERS = 8
"""Points up to which `spearman` goes over all orders: 40,320."""
Outcome = Literal["agrees", "does not agree", "cannot be told"]


@dataclass(frozen=True)
class Measured:
    """What the runs of a variant gave.

    Args:
        runs: uid or folder of each, by seed; variants that measure the same runs in another way have the same ones.
        values: {measure: {seed: value}}.
        ranks: {seed: ranks}; {} where the study has no recall.
    """

    runs: Mapping[int, str]
    values: Mapping[str, Mapping[int, float]]
    ranks: Mapping[int, Ranks]

    def mean(self, measure: str) -> float | None:
        values = self.values.get(measure, {})
        return statistics.fmean(values.values()) if values else None

    def spread(self, measure: str) -> float | None:
        """Standard deviation over seeds; None of fewer than two."""
        values = [*self.values.get(measure, {}).values()]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Decided:
    """A claim and what the runs say of it.

    Args:
        claim: of the study.
        difference: of the claim's variant to the other one; None where runs are missing.
        interval: of the difference, at LEVEL for all claims of the study at once.
        outcome: see `Outcome`.
        seeds: the fewest of the two sides.
    """

    claim: Claim
    difference: float | None
    interval: tuple[float, float] | None
    outcome: Outcome
    seeds: int


def difference(a: Measured, b: Measured, measure: str, is_recall: bool) -> Estimate | None:
    """A minus B: paired over images and over seeds where it is a recall, else over seeds alone.

    Where both sides measure the same runs, the runs are paired too. None where a side has no value; the variance is
    inf where one seed is all there is of what is compared over seeds.
    """
    if is_recall and a.ranks and b.ranks:
        same = a.runs == b.runs
        seeds = sorted(a.ranks)
        of_a, of_b = ([side.ranks[seed] for seed in (seeds if same else sorted(side.ranks))] for side in (a, b))
        return paired_recall_differences(of_a, of_b, same_runs=same)[measure]
    values_a, values_b = a.values.get(measure, {}), b.values.get(measure, {})
    if not values_a or not values_b:
        return None
    if a.runs == b.runs:
        return over_seeds([values_a[seed] - values_b[seed] for seed in values_a if seed in values_b], [])
    return over_seeds([*values_a.values()], [*values_b.values()])


def over_seeds(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Mean of A minus mean of B (0 where B is empty) with Welch's variance and degrees of freedom."""
    value = statistics.fmean(a) - (statistics.fmean(b) if b else 0.0)
    if len(a) < 2 or len(b) == 1:
        return Estimate(value, math.inf, 1.0)
    parts = [(statistics.variance(side) / len(side), len(side) - 1) for side in (a, b) if side]
    variance = sum(part for part, _ in parts)
    freedom = sum(part**2 / df for part, df in parts)
    return Estimate(value, variance, variance**2 / freedom if freedom > 0 else float(parts[0][1]))


def decide(study: Study, measured: Mapping[str, Measured]) -> list[Decided]:
    """Each claim with its interval, corrected for all claims of the study (Bonferroni), and its outcome."""
    estimates: list[Estimate | None] = []
    for claim in study.claims:
        a, b = measured.get(claim.variant), measured.get(claim.against or study.baseline)
        recall = study.measure(claim.measure).is_recall
        estimates.append(difference(a, b, claim.measure, recall) if a and b else None)
    corrected = iter(simultaneous([estimate for estimate in estimates if estimate is not None], LEVEL))
    decided = []
    for claim, estimate in zip(study.claims, estimates, strict=True):
        sides = [measured.get(name) for name in (claim.variant, claim.against or study.baseline)]
        seeds = min(len(side.values.get(claim.measure, {})) if side else 0 for side in sides)
        if estimate is None:
            decided.append(Decided(claim, None, None, "cannot be told", seeds))
            continue
        interval, _ = next(corrected)
        decided.append(Decided(claim, estimate.value, interval, outcome(claim, estimate, interval, seeds), seeds))
    return decided


def outcome(claim: Claim, estimate: Estimate, interval: tuple[float, float], seeds: int) -> Outcome:
    """What an interval says of a claim; one seed decides nothing but what is equal in every run."""
    low, high = interval
    if claim.expected == "equal":
        if estimate.value == 0 and estimate.variance == 0:
            return "agrees"
        return "does not agree" if seeds > 1 and (low > 0 or high < 0) else "cannot be told"
    if seeds < 2 or not (low > 0 or high < 0):
        return "cannot be told"
    return "agrees" if (high < 0) == (claim.expected == "below") else "does not agree"


def verdict(decided: Sequence[Decided], seeds: int) -> tuple[Outcome | None, str]:
    """The outcome of all claims together, and a sentence; no outcome where the paper claims nothing.

    One claim that fails is enough for "does not agree"; all have to hold for "agrees".
    """
    with_seeds = f"{seeds} seed{'' if seeds == 1 else 's'}"
    if not decided:
        return None, f"The paper leaves this open; below is what {with_seeds} show{'s' if seeds == 1 else ''}."
    count = {which: sum(of.outcome == which for of in decided) for which in ("agrees", "does not agree")}
    total = len(decided)
    if count["does not agree"]:
        return "does not agree", f"Does not agree with the paper: {_claims(count['does not agree'], total, 'fail')}."
    if count["agrees"] == total:
        return "agrees", f"Agrees with the paper: {_claims(total, total, 'hold')}."
    others = "the other is" if total - count["agrees"] == 1 else "the others are"
    some = f" {_claims(count['agrees'], total, 'hold')}; {others} open." if count["agrees"] else ""
    return "cannot be told", f"Cannot be told with {with_seeds}.{some}"


def _claims(number: int, total: int, do: str) -> str:
    """So many of all claims, with their verb: "the claim holds", "both claims hold", "1 of 3 claims holds"."""
    if number == total:
        return f"the claim {do}s" if total == 1 else f"{'both' if total == 2 else f'all {total}'} claims {do}"
    return f"{number} of {total} claims {do}{'s' if number == 1 else ''}"


def spearman(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float] | None:
    """(rank correlation, two-sided p that there is none); None of fewer than four points.

    The p is exact, over all orders, of up to EXACT_ORDERS points, and by a t test of more.
    """
    if len(xs) < 4 or len({*xs}) < 2 or len({*ys}) < 2:
        return None
    a, b = (_ranks(np.asarray(values, float)) for values in (xs, ys))
    rho = float(np.corrcoef(a, b)[0, 1])
    rho = min(1.0, max(-1.0, rho))
    if len(xs) <= EXACT_ORDERS:
        centered = a - a.mean()
        orders = np.array(list(itertools.permutations(b - b.mean())))
        return rho, float((abs(orders @ centered) >= abs(centered @ (b - b.mean())) - 1e-9).mean())
    if abs(rho) > 1 - 1e-12:
        return rho, 2 / math.factorial(len(xs))
    t = abs(rho) * math.sqrt((len(xs) - 2) / (1 - rho**2))
    return rho, float(2 * stdtr(len(xs) - 2, -t))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Positions in ascending order; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
