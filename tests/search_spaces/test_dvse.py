"""What the DVSE paper leaves open is searched, and nothing is asked that one view makes pointless."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions, walk
from search_spaces import SPACES


def test_dvse_searches_what_the_paper_leaves_open() -> None:
    names = distributions(SPACES["dvse"])
    assert names["method.views"].choices == (1, 2, 4, 6, 8)
    assert (names["method.orth_weight"].low, names["method.orth_weight"].high, names["method.orth_weight"].log) == (
        1e-3,
        1.0,
        True,
    )
    assert {"method.weight_fn", "method.weight_gradient", "method.orth_schedule", "method.score"} <= set(names)


def test_one_view_leaves_nothing_to_weigh_or_to_keep_apart() -> None:
    for _, answers, _ in walk(SPACES["dvse"]):
        assert (answers["method.views"] == 1) == ("method.orth_weight" not in answers)
