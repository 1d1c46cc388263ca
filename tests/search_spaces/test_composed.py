"""Only compositions with dropout are asked for it, and half a query is no candidate."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_dropout_and_the_residual_are_asked_of_the_compositions_that_have_them() -> None:
    for _, answers, _ in walk(SPACES["composed"]):
        composition = answers["method.composition"]
        assert ("method.dropout" in answers) == (composition in ("fusion", "combiner"))
        assert ("method.residual" in answers) == (composition == "fusion")
        assert composition not in ("image", "text")
