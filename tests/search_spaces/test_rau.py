"""RAU searches its base loss as its baselines do."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_rau_asks_all_that_its_baselines_are_asked() -> None:
    names, base = distributions(SPACES["rau"]), distributions(SPACES["composed"])
    assert {name: names[name] for name in base} == base
    assert {"method.theta", "method.theta_mode", "method.isu_weight", "method.csu_weight", "method.dr_weight"} <= set(
        names
    )
