"""Bootstrap intervals against a loop that draws images one by one, and what clusters and pairs change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from raytrain.evaluation.significance import (
    bootstrap_interval,
    holm,
    mean_intervals,
    paired_difference,
    paired_recall_differences,
    permutation_p,
    recall_intervals,
)


def ranks(images: int = 40, per_image: int = 5, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), per_image)
    i2t, t2i = generator.integers(0, 12, images), generator.integers(0, 20, images * per_image)
    return {"i2t": i2t, "t2i": t2i, "item_of_text": owner}, owner


def interval_by_loop(hits: np.ndarray, groups: np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    clusters = np.unique(groups)
    means = []
    for _ in range(samples):
        drawn = generator.choice(clusters, len(clusters))
        means.append(100 * np.concatenate([hits[groups == cluster] for cluster in drawn]).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_the_cluster_bootstrap_agrees_with_drawing_images_one_by_one() -> None:
    run, owner = ranks()
    hits = (run["t2i"] < 5).astype(float)
    expected = interval_by_loop(hits, owner, samples=4000, seed=1)
    assert bootstrap_interval(hits, owner, samples=4000) == pytest.approx(expected, abs=0.7)


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    """Queries that each are their own image: both draw 50 of 50, and 4,000 draws leave half a point to chance."""
    hits = (np.random.default_rng(0).random(50) < 0.3).astype(float)
    expected = stats.bootstrap(
        (100 * hits,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert bootstrap_interval(hits, samples=4000) == pytest.approx((expected.low, expected.high), abs=2.1)  # one hit: 2
    narrow = stats.bootstrap((100 * hits,), np.mean, confidence_level=0.5, method="percentile", rng=2)
    result = bootstrap_interval(hits, level=0.5, samples=4000)
    assert result == pytest.approx(tuple(narrow.confidence_interval), abs=2.1)


def test_a_cluster_interval_is_scipys_bootstrap_of_whole_images() -> None:
    """Images of 2, 3 and 4 captions: the mean is a ratio of two sums over the images that are drawn."""
    generator = np.random.default_rng(3)
    owner = np.repeat(np.arange(60), generator.integers(2, 5, 60))
    hits = (generator.random(len(owner)) < 0.2 + 0.6 * (owner % 2)).astype(float)
    sums, counts = np.bincount(owner, hits), np.bincount(owner)

    def percent(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return 100 * sums.sum(axis) / counts.sum(axis)

    expected = stats.bootstrap(
        (sums, counts), percent, paired=True, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert bootstrap_interval(hits, owner, samples=4000) == pytest.approx((expected.low, expected.high), abs=0.7)


def test_captions_that_agree_within_an_image_widen_the_interval() -> None:
    owner = np.repeat(np.arange(40), 5)
    hits = np.repeat(np.arange(40) % 2, 5)
    low, high = bootstrap_interval(hits, owner)
    alone_low, alone_high = bootstrap_interval(hits)
    assert high - low > 1.8 * (alone_high - alone_low)


def test_rsum_is_drawn_from_the_same_images_as_its_recalls() -> None:
    run, _ = ranks()
    intervals = recall_intervals(run)
    assert list(intervals)[-1] == "rsum"
    value = sum(100 * np.mean(run[d] < k) for d in ("i2t", "t2i") for k in (1, 5, 10))
    low, high = intervals["rsum"]
    assert low < value < high
    widest = max(high - low for name, (low, high) in intervals.items() if name != "rsum")
    assert high - low > widest  # recalls of the same images move together


def test_queries_without_a_positive_are_left_out() -> None:
    run, _ = ranks()
    longer = {**run, "i2t": np.append(run["i2t"], [-1, -1])}
    low, high = recall_intervals(longer)["i2t/recall_at_5"]
    assert low < 100 * np.mean(run["i2t"] < 5) < high


def test_several_seeds_are_averaged_per_query() -> None:
    (first, _), (second, _) = ranks(seed=0), ranks(seed=1)
    narrow = recall_intervals([first, second, *(ranks(seed=s)[0] for s in range(2, 8))])["rsum"]
    wide = recall_intervals(first)["rsum"]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_pairs_show_a_difference_that_two_intervals_hide() -> None:
    run, _ = ranks(200)
    better = {
        name: np.maximum(values - (np.arange(len(values)) % 4 == 0), 0) if name in ("i2t", "t2i") else values
        for name, values in run.items()
    }
    change = paired_recall_differences(better, run)["rsum"]
    assert change.significant
    assert change.low < change.mean < change.high
    a, b = (recall_intervals(system)["rsum"] for system in (better, run))
    assert a[0] < b[1]  # taken apart, the intervals overlap
    nothing = paired_recall_differences(run, run)["rsum"]
    assert (nothing.mean, nothing.low, nothing.high, nothing.significant) == (0, 0, 0, False)


def test_a_paired_difference_of_hits_is_its_mean_and_keeps_its_sign() -> None:
    a, b = np.ones(50), np.arange(50) % 2
    assert paired_difference(a, b).mean == 50
    assert paired_difference(b, a).high < 0
    with pytest.raises(ValueError, match="same queries"):
        paired_difference(a, b[:-1])


def test_equal_seeds_give_equal_intervals_and_a_level_has_to_be_a_share() -> None:
    run, _ = ranks()
    assert recall_intervals(run, seed=3) == recall_intervals(run, seed=3)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(run["i2t"] < 1, level=95)


def test_composed_queries_of_one_reference_are_drawn_together() -> None:
    reference = np.repeat(np.arange(40), 5)
    query = np.repeat(np.arange(40) % 2 * 30, 5)  # a reference's queries agree: rank 0 or 30
    intervals = recall_intervals({"query": query, "reference": reference})
    assert list(intervals) == ["recall_at_1", "recall_at_10", "recall_at_50", "rsum"]
    assert intervals["recall_at_1"] == bootstrap_interval(query < 1, reference)
    assert intervals["recall_at_50"] == (100, 100)
    alone = recall_intervals({"query": query, "reference": np.arange(200)})["rsum"]
    together = intervals["rsum"]
    assert together[1] - together[0] > 1.8 * (alone[1] - alone[0])


def rsum_of(ranks: dict[str, np.ndarray]) -> float:
    return float(sum(100 * np.mean(ranks[side] < k) for side in ("i2t", "t2i") for k in (1, 5, 10)))


def p_by_loop(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Swap the systems in every set of images, one after another, and count the differences that reach the real one."""
    images = len(a["i2t"])
    far = []
    for swapped in itertools.product((False, True), repeat=images):
        flip = np.array(swapped)
        of_text = flip[a["item_of_text"]]
        left = {"i2t": np.where(flip, b["i2t"], a["i2t"]), "t2i": np.where(of_text, b["t2i"], a["t2i"])}
        right = {"i2t": np.where(flip, a["i2t"], b["i2t"]), "t2i": np.where(of_text, a["t2i"], b["t2i"])}
        far.append(abs(rsum_of(left) - rsum_of(right)))
    return float(np.mean(np.array(far) >= abs(rsum_of(a) - rsum_of(b)) - 1e-6))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_permutation_test_counts_every_swap_of_few_images(seed: int) -> None:
    (a, _), (b, _) = ranks(9, 3, seed), ranks(9, 3, seed + 10)
    exact = p_by_loop(a, b)
    p = permutation_p(a, b)
    assert p["rsum"] == pytest.approx(exact)
    assert 0 < exact <= 1
    drawn = permutation_p(a, b, samples=500, seed=seed)["rsum"]  # fewer than the 512 swaps there are
    assert drawn == pytest.approx(exact, abs=0.1) and drawn != exact


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_p_is_scipys_of_all_swaps_of_paired_images(seed: int) -> None:
    """Nine images: scipy, too, counts all 512 swaps of the two systems' hits, so that p is the same number."""
    (a, owner), (b, _) = ranks(9, 3, seed), ranks(9, 3, seed + 20)
    result = permutation_p(a, b)
    for side, cluster in (("i2t", np.arange(9)), ("t2i", owner)):
        for k in (1, 5, 10):
            hits = [np.bincount(cluster, of[side] < k, minlength=9) for of in (a, b)]
            expected = stats.permutation_test(
                hits, lambda x, y, axis: (x - y).sum(axis), permutation_type="samples", n_resamples=np.inf
            )
            # scipy doubles the smaller tail, and swaps are symmetric: the tails are equal
            assert result[f"{side}/recall_at_{k}"] == pytest.approx(min(1.0, expected.pvalue))


def test_a_drawn_p_is_scipys_within_its_chance() -> None:
    """Thirty images have 2 ** 30 swaps: both draw 10,000, and a p near 0.2 has a standard error of 0.004."""
    (a, _), (b, _) = ranks(30, 2, 5), ranks(30, 2, 1005)
    hits = [(of["i2t"] < 5).astype(float) for of in (a, b)]
    expected = stats.permutation_test(
        hits, lambda x, y, axis: (x - y).sum(axis), permutation_type="samples", n_resamples=10_000, rng=6
    )
    result = permutation_p(a, b)["i2t/recall_at_5"]
    assert 0.05 < result < 1
    assert result == pytest.approx(expected.pvalue, abs=0.03)


def test_equal_systems_have_p_one_and_no_p_is_zero() -> None:
    run, _ = ranks(100)
    assert set(permutation_p(run, run).values()) == {1.0}
    never = {name: values if name == "item_of_text" else values + 1000 for name, values in run.items()}
    assert permutation_p(run, never, samples=999)["rsum"] == 1 / 1000


def test_the_permutation_test_errs_as_often_as_its_level_says() -> None:
    p = [permutation_p(ranks(30, 2, seed)[0], ranks(30, 2, seed + 1000)[0], 200)["rsum"] for seed in range(200)]
    assert 0.01 < np.mean(np.array(p) <= 0.1) < 0.19  # 20 expected of 200


def test_composed_queries_are_swapped_by_reference() -> None:
    reference = np.array([7, 7, 7, 3, 3, 3])
    a = {"query": np.zeros(6, int), "reference": reference}
    b = {"query": np.full(6, 99), "reference": reference}
    assert permutation_p(a, b)["recall_at_1"] == 0.5  # both references one way, or both the other, of four swaps
    with pytest.raises(ValueError, match="same queries"):
        permutation_p(a, {"query": np.zeros(5, int), "reference": reference[:5]})


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


def test_intervals_of_means_are_of_the_same_draws() -> None:
    right = (np.random.default_rng(0).random(300) < 0.4).astype(float)
    right[:50] = np.nan
    values = {"yes": right, "no": 1 - right, "never": np.full(300, np.nan)}
    groups = dict.fromkeys(values, np.arange(300) // 3)
    intervals = mean_intervals(values, groups, {"half": ["yes", "no"], "none": ["yes", "never"]})
    low, high = intervals["yes"]
    share = 100 * float(right[50:].mean())
    assert low < share < high
    assert high - low == pytest.approx(4 * math.sqrt(share * (100 - share) / 250), rel=0.25)
    assert intervals["half"] == pytest.approx((50, 50))  # in each draw one loses what the other gains
    assert intervals.keys() == {"yes", "no", "half"}
