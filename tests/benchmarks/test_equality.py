"""What the comparison of two checkouts covers, and what it calls equal."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.equality import CASES, is_new, largest_difference
from raytrain.methods import METHODS
from raytrain.recipes import RECIPES


def test_every_method_has_a_case() -> None:
    assert {RECIPES[case.recipe]().method.kind for case in CASES.values()} == set(METHODS)
    assert sum(case.ranks == 2 for case in CASES.values()) >= 3


def test_a_recipe_that_the_checkout_before_has_not_is_new_and_any_other_failure_is_none() -> None:
    assert is_new("naaf_tokens", "raytrain train: no recipe 'naaf_flickr8k'; did you mean 'caan_flickr8k'?")
    assert not is_new("naaf_tokens", "raytrain train: no recipe 'scan_flickr8k'")
    assert not is_new("leaderboard", "no recipe 'naaf_flickr8k'")


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ([1.0, math.nan], [1.0, math.nan], 0.0),
        ([0.25, 2.0], [0.25, 2.5], 0.25),  # relative above 1
        ([0.25, 0.5], [0.5, 0.5], 0.25),  # absolute below
        ([1.0], [np.nextafter(1.0, 2.0)], np.spacing(1.0)),
        ([1.0], [math.nan], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
    ],
)
def test_equal_is_bit_for_bit(before: list[float], after: list[float], difference: float) -> None:
    assert largest_difference({"loss": np.array(before)}, {"loss": np.array(after)}) == difference
    assert largest_difference({"loss": np.array(before)}, {}) == math.inf
