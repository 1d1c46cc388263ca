"""Intervals and differences of recalls from ranks: clusters, pairs, seeds, and many rows at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raytrain.evaluation.significance import (
    has_gallery_draws,
    mean_intervals,
    paired_recall_differences,
    recall_intervals,
    simultaneous,
)
from raytrain.evaluation.variance import Estimate


def ranks(images: int = 40, per_image: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), per_image)
    i2t, t2i = generator.integers(0, 12, images), generator.integers(0, 20, images * per_image)
    return {"i2t": i2t, "t2i": t2i, "item_of_text": owner}


def width(bounds: tuple[float, float]) -> float:
    return bounds[1] - bounds[0]


def test_the_interval_is_as_wide_as_scipys_bootstrap_of_whole_images() -> None:
    """Images of 2, 3 and 4 captions: the mean is a ratio of two sums over the images that are drawn."""
    generator = np.random.default_rng(3)
    owner = np.repeat(np.arange(60), generator.integers(2, 5, 60))
    hits = generator.random(len(owner)) < 0.2 + 0.6 * (owner % 2)
    sums, counts = np.bincount(owner, hits), np.bincount(owner)

    def percent(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return 100 * sums.sum(axis) / counts.sum(axis)

    expected = stats.bootstrap(
        (sums, counts), percent, paired=True, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    run = {"i2t": np.zeros(60, int), "t2i": np.where(hits, 0, 9), "item_of_text": owner}
    result = recall_intervals(run)["t2i/recall_at_1"]
    assert result == pytest.approx((expected.low, expected.high), abs=0.9)


def test_captions_that_agree_within_an_image_widen_the_interval() -> None:
    agree = np.repeat(np.arange(40) % 2 * 30, 5)
    together = {"i2t": np.zeros(40, int), "t2i": agree, "item_of_text": np.repeat(np.arange(40), 5)}
    alone = {"i2t": np.zeros(200, int), "t2i": agree, "item_of_text": np.arange(200)}
    assert width(recall_intervals(together)["rsum"]) > 1.8 * width(recall_intervals(alone)["rsum"])


def test_rsum_adds_what_its_recalls_have_in_common() -> None:
    run = ranks()
    intervals = recall_intervals(run)
    assert list(intervals)[-1] == "rsum"
    value = sum(100 * np.mean(run[d] < k) for d in ("i2t", "t2i") for k in (1, 5, 10))
    low, high = intervals["rsum"]
    assert low < value < high
    assert high - low > max(width(bounds) for name, bounds in intervals.items() if name != "rsum")


def test_queries_without_a_positive_and_images_without_a_text_are_left_out() -> None:
    run = ranks()
    longer = {**run, "i2t": np.append(run["i2t"], [-1, -1])}
    assert recall_intervals(longer) == recall_intervals(run)
    with pytest.raises(ValueError, match="no query has a positive"):
        recall_intervals({**run, "i2t": np.full(40, -1)})


def test_seeds_that_differ_widen_what_one_seed_calls_certain() -> None:
    """Three runs that answer more and more: each of them alone is surer than all of them."""
    base = ranks(400)
    runs = [
        {name: values if name == "item_of_text" else np.maximum(values - worse, 0) for name, values in base.items()}
        for worse in (0, 2, 4)
    ]
    together = width(recall_intervals(runs)["rsum"])
    assert together > 3 * max(width(recall_intervals(run)["rsum"]) for run in runs)
    change = paired_recall_differences(runs, [ranks(400, seed=s) for s in (5, 6, 7)])["rsum"]
    assert change.p > 0.05 > paired_recall_differences(runs[2], ranks(400, seed=5))["rsum"].p


def test_equal_seeds_are_as_one() -> None:
    """Trainings that give the same ranks have no noise: more of them change nothing."""
    run, other = ranks(), ranks(seed=1)
    assert recall_intervals([run] * 3)["rsum"] == pytest.approx(recall_intervals(run)["rsum"])
    alone, thrice = (paired_recall_differences(a, b)["rsum"] for a, b in ((run, other), ([run] * 3, [other] * 2)))
    assert (thrice.value, thrice.variance, thrice.df) == pytest.approx((alone.value, alone.variance, alone.df))


def test_pairs_show_a_difference_that_two_intervals_hide() -> None:
    run = ranks(200)
    better = {
        name: np.maximum(values - (np.arange(len(values)) % 4 == 0), 0) if name in ("i2t", "t2i") else values
        for name, values in run.items()
    }
    change = paired_recall_differences(better, run)["rsum"]
    low, high = change.interval(0.95)
    assert 0 < low < change.value < high
    a, b = (recall_intervals(system)["rsum"] for system in (better, run))
    assert a[0] < b[1]  # taken apart, the intervals overlap
    back = paired_recall_differences(run, better)["rsum"]
    assert (back.value, back.p) == pytest.approx((-change.value, change.p))
    assert paired_recall_differences(run, run)["rsum"] == Estimate(0, 0, 199)


def test_runs_that_are_ranked_in_two_ways_are_paired_over_seeds() -> None:
    """What both rankings of a seed have in common cancels: seeds that differ by more than the change do not hide it."""
    generator = np.random.default_rng(0)
    owner = np.arange(200)
    before, after = [], []
    for chance in (0.2, 0.5, 0.8):
        places = np.where(generator.random(200) < chance, 0, 30)
        places[::20] = 30
        before.append({"i2t": places, "t2i": places, "item_of_text": owner})
        raised = np.where(np.arange(200) % 20 == 0, 0, places)
        after.append({"i2t": raised, "t2i": raised, "item_of_text": owner})
    apart = paired_recall_differences(after, before)["rsum"]
    paired = paired_recall_differences(after, before, same_runs=True)["rsum"]
    assert paired.value == pytest.approx(apart.value)
    assert paired.interval(0.95)[0] > 0 > apart.interval(0.95)[0]
    with pytest.raises(ValueError, match="3 and 2 runs cannot be paired"):
        paired_recall_differences(after, before[:2], same_runs=True)


def test_p_is_near_that_of_all_swaps_of_paired_images() -> None:
    a, b = ranks(11, 3, 1), ranks(11, 3, 21)
    hits = [(of["i2t"] < 5).astype(float) + np.bincount(of["item_of_text"], of["t2i"] < 5) / 3 for of in (a, b)]
    expected = stats.permutation_test(
        hits, lambda x, y, axis: (x - y).sum(axis), permutation_type="samples", n_resamples=np.inf
    )
    both = {name: np.where(of < 5, 0, 99) if name != "item_of_text" else of for name, of in a.items()}
    other = {name: np.where(of < 5, 0, 99) if name != "item_of_text" else of for name, of in b.items()}
    assert paired_recall_differences(both, other)["rsum"].p == pytest.approx(expected.pvalue, abs=0.1)


def test_other_queries_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same queries"):
        paired_recall_differences(ranks(40), ranks(41))
    with pytest.raises(ValueError, match="same queries"):
        recall_intervals([ranks(40), ranks(41)])


def test_composed_queries_of_one_reference_or_one_target_go_together() -> None:
    item = np.repeat(np.arange(40), 5)
    query = np.repeat(np.arange(40) % 2 * 30, 5)  # an item's queries agree: rank 0 or 30
    own = np.arange(200)
    alone = recall_intervals({"query": query, "reference": own, "target": own})
    assert list(alone) == ["recall_at_1", "recall_at_10", "recall_at_50", "rsum"]
    assert alone["recall_at_50"][1] == 100 > alone["recall_at_50"][0] > 95
    by_reference = recall_intervals({"query": query, "reference": item, "target": own})
    by_target = recall_intervals({"query": query, "reference": own, "target": item})
    assert width(by_reference["rsum"]) > 1.8 * width(alone["rsum"])
    assert by_target["rsum"] == pytest.approx(by_reference["rsum"])
    old = {"query": query, "reference": item}  # kept before targets were
    assert recall_intervals(old)["rsum"] == pytest.approx(by_reference["rsum"], rel=0.02)
    new = old | {"query": query[::-1].copy(), "target": own}
    assert paired_recall_differences(new, old) == paired_recall_differences(new, old | {"target": own})
    assert recall_intervals([new, old]) == recall_intervals([old | {"query": new["query"]}, old])


def test_draws_of_the_gallery_widen_the_interval_and_cancel_between_equals() -> None:
    run = {"query": np.arange(200) % 70, "reference": np.arange(200), "target": np.arange(200)}
    common = 5 * np.random.default_rng(0).standard_normal((100, 1)) / 8 + np.zeros((100, 8))
    drawn = run | {f"gallery/recall_at_{k}": common for k in (1, 10, 50)}
    assert not has_gallery_draws([drawn, run]) and has_gallery_draws(drawn)
    assert width(recall_intervals(drawn)["rsum"]) > width(recall_intervals(run)["rsum"]) + 20
    other = drawn | {"query": (np.arange(200) * 7) % 70}
    both, fixed = (
        paired_recall_differences(drawn | of, other | of)["rsum"] for of in ({}, {"gallery/recall_at_1": common})
    )
    assert both.variance == pytest.approx(fixed.variance)
    moved = other | {"gallery/recall_at_10": -common}
    assert paired_recall_differences(drawn, moved)["rsum"].variance > both.variance + 50


def test_many_differences_are_bounded_together_and_agree_with_their_p() -> None:
    differences = [Estimate(value, 1.0, 20.0) for value in (0.5, 2.2, 3.5)]
    corrected = simultaneous(differences)
    for difference, ((low, high), p) in zip(differences, corrected, strict=True):
        assert p == pytest.approx(min(1, 3 * difference.p))
        assert (low, high) == difference.interval(1 - 0.05 / 3)
        assert (low > 0) == (p < 0.05)
    assert differences[1].p < 0.05 < corrected[1][1]
    assert simultaneous([]) == []


def test_intervals_of_means_take_what_metrics_have_in_common() -> None:
    right = (np.random.default_rng(0).random(300) < 0.4).astype(float)
    right[:50] = np.nan
    values = {"yes": right, "no": 1 - right, "never": np.full(300, np.nan)}
    groups = dict.fromkeys(values, np.arange(300) // 3)
    intervals = mean_intervals(values, groups, {"half": ["yes", "no"], "none": ["yes", "never"]})
    low, high = intervals["yes"]
    share = 100 * float(right[50:].mean())
    assert low < share < high
    assert high - low == pytest.approx(4 * np.sqrt(share * (100 - share) / 250), rel=0.25)
    assert intervals.keys() == {"yes", "no", "half"}
    assert intervals["half"] == pytest.approx((50, 50))  # one loses what the other gains
    assert mean_intervals({"never": values["never"]}, groups, {}) == {}
