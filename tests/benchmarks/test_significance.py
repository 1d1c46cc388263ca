"""Intervals and p-values against simulated tables whose truth is known: 5 % and 95 % within their Monte Carlo error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.significance import cells_of_runs, expected_rsum, methods, pair_rates, table_rates, training_shift

REPEATS = 400
IMAGES = (12, 40, 200, 1000)


def allowed(share: float, repeats: int = REPEATS) -> float:
    """Three standard errors of a share."""
    return 3 * math.sqrt(share * (1 - share) / repeats)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("images", IMAGES)
def test_equal_methods_differ_in_5_percent_of_tables_and_rows_hold_in_95(images: int, seeds: int) -> None:
    """A test that ignored seeds would reject a quarter of these at 1,000 images."""
    repeats = REPEATS if images < 1000 else REPEATS // 2
    rates = pair_rates(images, (seeds, seeds), repeats, seed=1)
    assert rates["rejected"] < 0.05 + allowed(0.05, repeats)
    assert rates["row"] > 0.95 - allowed(0.05, repeats)


@pytest.mark.parametrize("images", IMAGES)
def test_one_seed_holds_for_the_trained_models(images: int) -> None:
    rates = pair_rates(images, (1, 1), REPEATS, seed=2)
    assert rates["difference"] == pytest.approx(0.95, abs=allowed(0.05))
    assert rates["row"] == pytest.approx(0.95, abs=allowed(0.05))
    if images == 1000:  # why cells say that training noise is not covered
        assert rates["rejected"] > 0.2


def test_one_seed_against_several_holds_for_that_model_and_the_other_method() -> None:
    rates = pair_rates(200, (1, 3), REPEATS, seed=4)
    assert rates["difference"] > 0.95 - allowed(0.05)


def test_ten_rows_that_are_equal_leave_out_zero_in_5_percent_of_tables() -> None:
    rates = table_rates(40, 3, 150, seed=3)
    assert rates["together"] < 0.05 + allowed(0.05, 150)
    assert rates["each"] > 0.1  # not corrected, many tables have such an interval


def test_the_simulation_has_the_truth_that_it_states() -> None:
    """rsum of many images is the expected one, and training moves it by 4.9."""
    deviation = training_shift()
    shifts = np.array([[0.0, deviation]])
    shared = (0.9 * np.random.default_rng(0).standard_normal((1, 40_000))).astype(np.float32)
    (cells,) = cells_of_runs(np.random.default_rng(1), shared, shifts)
    assert cells.sum(1) == pytest.approx(np.asarray(expected_rsum(shifts[0])), abs=4)
    assert abs(float(expected_rsum(deviation)) - float(expected_rsum(0.0))) == pytest.approx(4.9, abs=0.2)
    (a, b), (of_a, of_b) = next(iter(methods(7, (2, 3), 1)))
    assert (a.shape, b.shape, len(of_a), len(of_b)) == ((2, 7), (3, 7), 2, 3)
