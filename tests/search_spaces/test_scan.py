"""The published temperatures of SCAN lie inside its space."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions, walk
from search_spaces import SPACES


def test_the_published_temperatures_can_be_drawn() -> None:
    names = distributions(SPACES["scan"])
    assert all(names["method.attention_scale"].low < value < names["method.attention_scale"].high for value in (4, 9))
    assert all(names["method.pooling_scale"].low < value < names["method.pooling_scale"].high for value in (5, 6, 20))


def test_a_mean_has_no_scale() -> None:
    for _, answers, _ in walk(SPACES["scan"]):
        assert ("method.pooling_scale" in answers) == (answers["method.pooling"] == "log_sum_exp")
