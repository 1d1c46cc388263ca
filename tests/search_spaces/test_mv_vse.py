"""With one view both bounds of MV-VSE are one loss."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_one_view_leaves_nothing_to_weigh() -> None:
    for _, answers, _ in walk(SPACES["mv_vse"]):
        assert ("method.upper_weight" in answers) == (answers["method.views"] > 1)
        assert ("method.smooth_tau" in answers) == (answers["method.bounds"] == "smooth")
