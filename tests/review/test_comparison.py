"""Rows against the first of their table, on ranks made up in the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.evaluation.significance import paired_recall_differences, recall_intervals
from raytrain.review.board import Coverage
from raytrain.review.comparison import compare_with_first, interval_of, kept_ranks
from tests.review.made_rows import made_row
from tests.review.made_runs import make_run


def ranks(seed: int, worse: int = 0, images: int = 30) -> dict[str, np.ndarray]:
    """Ranks of 0 to 11, each `worse` places further back."""
    generator = np.random.default_rng(seed)
    return {
        "i2t": generator.integers(0, 12, images) + worse,
        "t2i": generator.integers(0, 12, 2 * images) + worse,
        "item_of_text": np.repeat(np.arange(images), 2),
    }


def row(rank: int, val: Any = None, test: Any = None) -> Any:
    return made_row(rank=rank, ranks={"val": val, "test": test})


def test_the_first_row_has_no_comparison_and_the_others_one_with_it() -> None:
    best, worse = [ranks(0)], [ranks(0, worse=3)]
    first, second = compare_with_first([row(4, best, best), row(7, worse, worse)])
    assert first is None
    assert second is not None
    assert (second.rank, second.split) == (4, "test")
    assert second.low <= second.difference <= second.high < 0
    alone = paired_recall_differences(worse, best)["rsum"]  # one comparison: nothing to correct
    assert (second.p, (second.low, second.high)) == (alone.p, alone.interval(0.95))


def test_validation_stands_in_where_one_of_the_two_was_not_evaluated_on_test() -> None:
    _, second = compare_with_first([row(1, [ranks(0)], [ranks(0)]), row(2, [ranks(1)])])
    assert second is not None and second.split == "val"


def test_rows_without_ranks_or_of_other_queries_are_not_compared() -> None:
    other = ranks(1) | {"item_of_text": np.repeat(np.arange(30), 2)[::-1]}
    assert compare_with_first([row(1, [ranks(0)]), row(2), row(3, [other])]) == [None, None, None]
    assert compare_with_first([row(1), row(2, [ranks(0)])]) == [None, None]


def test_bounds_and_p_are_corrected_alike_over_the_rows_that_were_compared() -> None:
    """Each p is doubled for two rows, and the bounds are of 97.5 %; a row without ranks does not count."""
    best, near, far = [ranks(0)], [ranks(1)], [ranks(0, worse=6)]
    _, _, second, third = compare_with_first([row(1, best), row(2), row(3, near), row(4, far)])
    for comparison, other in ((second, near), (third, far)):
        alone = paired_recall_differences(other, best)["rsum"]
        assert comparison is not None
        assert comparison.p == pytest.approx(min(1, 2 * alone.p))
        assert (comparison.low, comparison.high) == pytest.approx(alone.interval(0.975))


def test_composed_rows_of_earlier_versions_without_targets_are_still_compared() -> None:
    old = [{"query": np.arange(20), "reference": np.arange(20)}]
    new = [{"query": np.arange(20)[::-1], "reference": np.arange(20), "target": np.arange(20) // 2}]
    _, comparison = compare_with_first([row(1, old), row(2, new)])
    assert comparison is not None and comparison.coverage == Coverage(seeds=False, gallery=False)
    moved = [new[0] | {"target": np.arange(20)}]
    assert compare_with_first([row(1, new), row(2, moved)])[1] is None


def test_a_comparison_and_an_interval_say_what_they_cover() -> None:
    once, thrice = [ranks(0)], [ranks(1), ranks(2), ranks(3)]
    rows = [row(1, thrice), row(2, once), row(3, [ranks(4), ranks(5)])]
    covered = [comparison.coverage for comparison in compare_with_first(rows) if comparison]
    assert covered == [Coverage(seeds=False), Coverage(seeds=True)]
    interval = interval_of("val", thrice)
    assert interval is not None and interval.coverage == Coverage(seeds=True)
    assert (interval.low, interval.high) == recall_intervals(thrice)["rsum"]
    assert interval_of("val", None) is None
    composed = [{"query": np.arange(20), "reference": np.arange(20)}] * 2
    drawn = [run | {"gallery/recall_at_1": np.zeros((5, 2))} for run in composed]
    for runs, gallery in ((composed, False), (drawn, True)):
        interval = interval_of("test", runs)
        assert interval is not None and interval.coverage == Coverage(seeds=True, gallery=gallery)


def test_ranks_of_a_row_are_those_of_every_run_or_none(tmp_path: Path) -> None:
    from raytrain.evaluation.report import read_evaluations

    for seed in (0, 1):
        make_run(tmp_path / f"s{seed}", seed=seed)
    evaluations = [next(e for e in read_evaluations(tmp_path / f"s{seed}") if e["split"] == "val") for seed in (0, 1)]
    result = kept_ranks(evaluations)
    assert result is not None and [set(of_run) for of_run in result] == [{"i2t", "t2i", "item_of_text"}] * 2
    assert kept_ranks([evaluations[0], None]) is None
    assert kept_ranks([]) is None
    (tmp_path / "s1" / "evaluation" / "val.ranks.npz").unlink()
    assert kept_ranks(evaluations) is None
