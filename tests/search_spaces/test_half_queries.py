"""Only the product has a floor."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_the_floor_is_asked_of_the_product_alone() -> None:
    for _, answers, _ in walk(SPACES["half_queries"]):
        assert ("method.floor" in answers) == (answers["method.halves"] == "half_product")
