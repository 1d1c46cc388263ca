"""Only graph reasoning has steps."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_only_graph_reasoning_has_steps() -> None:
    for _, answers, _ in walk(SPACES["sgraf"]):
        assert ("method.steps" in answers) == (answers["method.module"] == "sgr")
