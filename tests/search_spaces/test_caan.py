"""CAAN is searched with and without each context."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_each_context_can_be_left_out() -> None:
    assert set(distributions(SPACES["caan"])["method.context"].choices) == {"both", "cross", "intra"}
