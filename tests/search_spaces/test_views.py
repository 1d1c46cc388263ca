"""The grid over K draws K and nothing else."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.initial_trials import grid_points
from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_it_draws_k_and_nothing_else() -> None:
    assert list(distributions(SPACES["views"])) == ["method.views"]
    assert [point["method.views"] for point in grid_points(SPACES["views"])] == [1, 2, 3, 4, 5, 6, 7, 8]
