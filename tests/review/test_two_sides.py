"""Two sides on the same queries, against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raytrain.evaluation.significance import paired_recall_differences
from raytrain.review.two_sides import Ranks, compare_sides, differing_settings, p_text

OWNER = np.repeat(np.arange(40), 2)


def made(seed: int, worst: int) -> Ranks:
    """Ranks of 40 images and their 80 captions, up to `worst`."""
    random = np.random.default_rng(seed)
    return {"i2t": random.integers(0, worst, 40), "t2i": random.integers(0, worst, 80), "item_of_text": OWNER}


def test_metrics_and_intervals_are_those_of_the_ranks() -> None:
    a, b = made(0, 8), made(1, 20)
    sides = compare_sides([a], [b], ({}, {}))
    assert next(iter(sides.metrics)) == "rsum" and len(sides.metrics) == 7
    metric = sides.metrics["t2i/recall_at_5"]
    assert metric.a == pytest.approx(100 * np.mean(a["t2i"] < 5)) and metric.difference == pytest.approx(
        metric.a - metric.b
    )
    for name, estimate in paired_recall_differences(a, b).items():
        of = sides.metrics[name]
        assert (of.interval, of.p) == (estimate.interval(0.95), estimate.p)
        assert of.difference == pytest.approx(of.a - of.b)
    assert sides.metrics["rsum"].as_dict()["p"] < 0.05
    assert sides.coverage.over == "images" and "training noise is not covered" in sides.not_covered


def test_the_verdict_names_the_leader_and_never_one_that_chance_explains() -> None:
    good, bad = [made(0, 6)], [made(1, 30)]
    assert compare_sides(good, bad, ({}, {})).verdict("A", "B").startswith("A leads B by ")
    assert compare_sides(bad, good, ({}, {})).verdict("A", "B").startswith("B leads A by ")
    none = compare_sides(good, [made(2, 6)], ({}, {})).verdict("A", "B")
    assert none.startswith("No difference is shown between A and B") and "95 % interval" in none


def test_queries_are_won_by_the_ratio_of_ranks() -> None:
    a = {"query": np.array([0, 4, 2, -1]), "reference": np.arange(4)}
    b = {"query": np.array([9, 0, 2, -1]), "reference": np.arange(4)}
    changes = compare_sides([a], [b], ({}, {})).changes["query"]
    assert changes.counts == {"a_better": 1, "b_better": 1, "equal": 1}
    np.testing.assert_allclose(changes.factor, [math.log(10), -math.log(5), 0, math.nan])


def test_seeds_count_by_the_mean_of_their_logs_and_cover_training_noise() -> None:
    a, b = [made(0, 8), made(1, 8)], [made(2, 8), made(3, 8)]
    sides = compare_sides(a, b, ({}, {}))
    expected = np.log([run["t2i"] + 1 for run in b]).mean(0) - np.log([run["t2i"] + 1 for run in a]).mean(0)
    np.testing.assert_allclose(sides.changes["t2i"].factor, expected)
    assert sides.coverage.over == "images and seeds" and sides.not_covered == ""


def test_settings_that_differ_leave_out_names_seeds_and_what_one_method_has_alone() -> None:
    a = {"name": "a", "seed": 0, "optim.lr": 1e-3, "method.kind": "dvse", "method.views": 4, "data.regions": "all"}
    b = {"name": "b", "seed": 1, "optim.lr": 2e-3, "method.kind": "pcme", "method.samples": 7, "data.regions": "all"}
    assert differing_settings(a, b) == {"optim.lr": (1e-3, 2e-3), "method.kind": ("dvse", "pcme")}


@pytest.mark.parametrize(("p", "text"), [(0.0, "p < 0.001"), (0.0312, "p = 0.031"), (1.0, "p = 1")])
def test_p_in_words(p: float, text: str) -> None:
    assert p_text(p) == text
