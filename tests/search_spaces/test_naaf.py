"""The published settings lie inside the space of NAAF."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_the_published_settings_can_be_drawn() -> None:
    names = distributions(SPACES["naaf"])
    published = {"attention_scale": 20, "mismatch_penalty": 2, "threshold_momentum": 0.3, "propagation_scale": 5}
    for name, value in published.items():
        assert names[f"method.{name}"].low < value < names[f"method.{name}"].high, name
