"""With one embedding there is nothing to keep apart."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_one_embedding_leaves_nothing_to_keep_apart_or_together() -> None:
    for _, answers, _ in walk(SPACES["pvse"]):
        assert ("method.diversity_weight" in answers) == ("method.mmd_weight" in answers)
        assert ("method.mmd_weight" in answers) == (answers["method.views"] > 1)
