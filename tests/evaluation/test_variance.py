"""Variances of means over runs and clusters against sums written out, Student's t against scipy's tests, and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from raytrain.evaluation.variance import Estimate, covariance_of_blocks, estimate


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def variance_by_hand(side: np.ndarray) -> float:
    """Mean squares of the two-way layout, one cell at a time: (MS of runs + of clusters - of both) / (S C) of the mean
    of the S x C values `side * C`, whose mean is the sum over clusters."""
    runs, clusters = side.shape
    values = (side * clusters).tolist()
    of_run = [sum(row) / clusters for row in values]
    of_cluster = [sum(row[c] for row in values) / runs for c in range(clusters)]
    mean = sum(of_run) / runs
    ms_runs = clusters * sum((m - mean) ** 2 for m in of_run) / (runs - 1)
    ms_clusters = runs * sum((m - mean) ** 2 for m in of_cluster) / (clusters - 1)
    rest = sum((values[s][c] - of_run[s] - of_cluster[c] + mean) ** 2 for s in range(runs) for c in range(clusters)) / (
        (runs - 1) * (clusters - 1)
    )
    return (ms_runs + ms_clusters - rest) / (runs * clusters)


@pytest.mark.parametrize(("runs", "clusters"), [(2, 7), (3, 12), (5, 4)])
def test_the_variance_is_that_of_runs_and_clusters_without_what_both_contain(runs: int, clusters: int) -> None:
    side = normal(runs, clusters) + 3 * normal(runs, 1, seed=1)
    assert estimate(0.0, [side]).variance == pytest.approx(variance_by_hand(side), rel=1e-12)


def test_one_run_is_a_t_test_over_clusters() -> None:
    a, b = normal(1, 15), normal(1, 15, seed=1)
    result = estimate(float(a.sum() - b.sum()), [a, -b])
    paired = stats.ttest_rel(a[0], b[0])
    assert result.p == pytest.approx(paired.pvalue, rel=1e-9)
    bounds = paired.confidence_interval(0.9)
    assert result.interval(0.9) == pytest.approx((15 * bounds.low, 15 * bounds.high), rel=1e-9)


def test_runs_that_differ_alone_are_welchs_test_but_for_the_caution() -> None:
    """Clusters that all agree have no variance: what is left is the spread of few runs."""
    a, b = (np.repeat(normal(n, 1, seed=n), 6, axis=1) / 6 for n in (3, 5))
    result = estimate(float(a.sum(1).mean() - b.sum(1).mean()), [a, -b])
    spreads = [side.sum(1).var(ddof=1) / len(side) for side in (a, b)]
    assert result.variance == pytest.approx(sum(spreads))
    weighed = [(spread * (1 + 3 / df), df) for spread, df in zip(spreads, (2, 4), strict=True)]
    assert result.df == pytest.approx(sum(v for v, _ in weighed) ** 2 / sum(v**2 / df for v, df in weighed))


def test_two_ways_are_both_without_their_cells() -> None:
    """Cells in rows and columns: pairs of cells that share a row or a column add the product of what they add."""
    cells = normal(1, 40, seed=3)
    cells -= cells.mean()
    ways = [np.arange(40) // 8, np.arange(40) % 8]
    by_pairs = {
        name: sum(cells[0, i] * cells[0, j] for i in range(40) for j in range(40) if same(i, j))
        for name, same in (
            ("row", lambda i, j: i // 8 == j // 8),
            ("column", lambda i, j: i % 8 == j % 8),
            ("cell", lambda i, j: i == j),
        )
    }
    factors = {"row": 5 / 4, "column": 8 / 7, "cell": 40 / 39}
    parts = {name: factors[name] * value for name, value in by_pairs.items()}
    expected = max(parts["row"], parts["column"], parts["row"] + parts["column"] - parts["cell"])
    result = estimate(0.0, [cells], ways)
    assert result.variance == pytest.approx(expected)
    assert result.df == 4
    assert estimate(0.0, [cells], ways, gallery=2.0).variance == pytest.approx(expected + 2)


def test_one_cluster_says_nothing() -> None:
    alone = estimate(80.0, [np.zeros((3, 1))])
    assert alone.share_interval(0.95, 100) == (0, 100)
    assert alone.p == 1
    assert alone.interval(0.95) == (-math.inf, math.inf)


def test_a_share_stays_between_its_bounds_and_is_wilsons_interval() -> None:
    """40 independent queries, 30 of them answered, with a quantile of the normal distribution."""
    result = Estimate(75.0, 100**2 * 0.75 * 0.25 / 40, 1e9)
    expected = stats.binomtest(30, 40).proportion_ci(0.95, method="wilson")
    assert result.share_interval(0.95, 100) == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-6)
    low, high = Estimate(100.0, 0.0, 11).share_interval(0.95, 100)
    assert 70 < low < 80 and high == 100  # twelve of twelve


def test_equal_sides_have_p_one_and_a_level_is_a_share() -> None:
    side = normal(3, 9)
    same = estimate(0.0, [side, -side])
    assert same.p == 1
    assert estimate(0.0, [np.zeros((1, 9))]).p == 1
    assert estimate(2.0, [np.zeros((1, 9))]).p == 0
    with pytest.raises(ValueError, match="level"):
        same.interval(95)


def test_blocks_show_what_queries_have_in_common() -> None:
    common, own = normal(4000, 1), normal(4000, 20, seed=1)
    assert covariance_of_blocks((common + own) / 20) == pytest.approx(1, rel=0.1)  # the own part is left out
    assert covariance_of_blocks(own / 20) < 0.02
    assert covariance_of_blocks(own[:, :1]) == 0
