"""The variance of a mean over training runs and queries, or of a difference of two such means.

A row's metric is a mean over S runs (seeds) and over C clusters of queries, such as images with their captions. Another
seed would move it, and so would other images. In a two-way layout with random effects the variance of the mean is that
of the clusters plus that of the runs minus that of their interaction, which both contain (Searle, Casella and
McCulloch, "Variance Components", 1992, chapter 4). A few seeds estimate their part badly, so bounds take the quantile
of Student's t with the degrees of freedom of Satterthwaite (1946) and Welch (1947). docs/evaluation/intervals.md
derives it, and `benchmarks/significance.py` shows how often it errs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of two, and how well it is known.

    Args:
        value: the estimate.
        variance: of it; inf where it cannot be estimated.
        df: degrees of freedom of the variance.
    """

    value: float
    variance: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        """(low, high): the values that a two-sided t test does not reject at 1 - level.

        Raises:
            ValueError: a level outside (0, 1).
        """
        half = _quantile(self.df, level) * math.sqrt(self.variance)
        return self.value - half, self.value + half

    def share_interval(self, level: float, top: float) -> tuple[float, float]:
        """(low, high) of a value between 0 and `top`, such as a recall (100) or rsum (600); both lie between these.

        Wilson's interval (1927) over the effective number of queries, value * (top - value) / variance (Korn and
        Graubard, 1998). At 0 and at `top` the clusters are that number: 100 % of twelve images is no certainty.

        Raises:
            ValueError: a level outside (0, 1).
        """
        quantile = _quantile(self.df, level)
        if self.variance == math.inf:
            return 0.0, top
        share = min(1.0, max(0.0, self.value / top))
        if share in (0.0, 1.0):
            number = self.df + 1
        elif self.variance == 0:
            return self.value, self.value
        else:
            number = share * (1 - share) * top**2 / self.variance
        spread = quantile**2 / number
        middle = (share + spread / 2) / (1 + spread)
        half = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
        return top * max(0.0, middle - half), top * min(1.0, middle + half)

    @property
    def p(self) -> float:
        """Of the two-sided t test that the true value is 0."""
        if self.variance == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(self.df, -abs(self.value) / math.sqrt(self.variance)))


def estimate(
    value: float, sides: Sequence[Floats], ways: Sequence[NDArray[np.int64]] = (), gallery: float = 0.0
) -> Estimate:
    """The estimate whose error comes from the clusters, which all sides share, and from the runs of each side.

    A side of one run adds nothing for training: the estimate then holds for that trained model.

    Args:
        value: the mean, or the difference.
        sides: of a mean one (S, C), of a difference two, the second with its sign turned: what each cluster adds to the
            metric of each run, so that a run's metric is a constant plus the sum of its row.
        ways: where queries are clustered in two ways, such as by reference and by target, the (C,) labels of both; the
            columns of `sides` are then the cells of that layout.
        gallery: further variance, of the items that queries are ranked against.
    """
    cells = np.sum([side.mean(0) for side in sides], axis=0)
    clusters = min((int(labels.max()) + 1 for labels in ways), default=len(cells))
    if clusters < 2:
        return Estimate(value, math.inf, 1.0)
    queries = _between_clusters(cells, ways)
    spreads = [_spread_over_runs(side, ways) for side in sides if len(side) > 1]
    training = sum(variance for variance, _ in spreads)
    # Few seeds that happen to agree also make their own share look small, and with it the quantile of t: their variance
    # counts 1 + 3 / df times in the degrees of freedom. Without it three seeds reject up to 8 %
    # (docs/evaluation/intervals.md).
    cautious = [(variance * (1 + 3 / df), df) for variance, df in spreads]
    fixed = queries + gallery
    uncertainty = fixed**2 / (clusters - 1) + sum(variance**2 / df for variance, df in cautious)
    total = fixed + sum(variance for variance, _ in cautious)
    return Estimate(value, fixed + training, total**2 / uncertainty if uncertainty > 0 else clusters - 1.0)


def covariance_of_blocks(draws: Floats) -> float:
    """Variance that draws of the gallery give a metric through what its queries have in common.

    The chance that a draw gives each query alone is in the variance between queries already. What remains is the
    covariance between different queries, here between blocks of them.

    Args:
        draws: (draws, B) what each of B blocks of queries adds to the metric, by draw.
    """
    blocks = int(draws.shape[1])
    if blocks < 2:
        return 0.0
    between = float(draws.sum(1).var(ddof=1) - draws.var(0, ddof=1).sum())
    return max(0.0, between * blocks / (blocks - 1))


def _between_clusters(cells: Floats, ways: Sequence[NDArray[np.int64]]) -> float:
    """Variance of the sum of the cells, whose clusters are independent.

    Of two ways: the sum of both, without that of the cells, which both contain (Cameron, Gelbach and Miller, 2011).
    """
    if not ways:
        return _sum_variance(cells)
    alone = [_sum_variance(np.bincount(labels, cells)) for labels in ways]
    return max(*alone, alone[0] + alone[1] - _sum_variance(cells))


def _sum_variance(clusters: NDArray[Any]) -> float:
    return len(clusters) * float(clusters.var(ddof=1)) if len(clusters) > 1 else 0.0


def _spread_over_runs(side: Floats, ways: Sequence[NDArray[np.int64]]) -> tuple[float, int]:
    """(variance of the side's mean over all runs that more clusters would not remove, its degrees of freedom)."""
    if ways:
        side = np.stack([np.bincount(ways[0], run) for run in side])
    runs, clusters = side.shape
    rest = side - side.mean(0) - side.mean(1, keepdims=True) + side.mean()
    interaction = clusters * float((rest**2).sum()) / ((runs - 1) * (clusters - 1)) / runs
    return max(0.0, float(side.sum(1).var(ddof=1)) / runs - interaction), runs - 1


def _quantile(df: float, level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give the share of cases inside, for example 0.95")
    return float(stdtrit(df, (1 + level) / 2))
