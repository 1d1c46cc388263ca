"""DivE's space asks nothing that its earlier answers make pointless."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_one_element_leaves_nothing_to_compare_or_to_keep_apart() -> None:
    for _, answers, _ in walk(SPACES["dive"]):
        assert (answers["method.views"] == 1) == ("method.similarity" not in answers)
        assert ("method.alpha" in answers) == (answers.get("method.similarity") == "smooth_chamfer")
