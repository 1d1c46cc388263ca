"""Where all negatives are summed there is no warm-up on their sum."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import walk
from search_spaces import SPACES


def test_a_sum_over_all_negatives_has_no_warm_up() -> None:
    for _, answers, _ in walk(SPACES["vsepp"]):
        assert ("method.mean_warmup_epochs" in answers) == (answers["method.mining"] == "hardest")
