"""One step refines nothing; the published temperatures lie inside."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions, walk
from search_spaces import SPACES


def test_a_single_step_has_no_refinement() -> None:
    for _, answers, _ in walk(SPACES["imram"]):
        assert ("method.refined_norm" in answers) == (answers["method.steps"] > 1)


def test_the_published_temperatures_can_be_drawn() -> None:
    scale = distributions(SPACES["imram"])["method.attention_scale"]
    assert all(scale.low < value < scale.high for value in (9, 11))
