"""MaxMatch's space asks nothing that one element makes pointless."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_one_element_leaves_nothing_to_assign_or_to_keep_apart() -> None:
    for _, answers, _ in walk(SPACES["maxmatch"]):
        assert (answers["method.views"] == 1) == ("method.intra_weight" not in answers)
        assert ("method.alpha" in answers) == (answers.get("method.pair_score") == "exponential")
