"""The baseline's small search, and DVSE's, which is the same and two fields more: compared, neither is tuned harder."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_both_small_searches_draw_the_same_of_the_optimizer() -> None:
    baseline, dvse = distributions(SPACES["vse_infinity_core"]), distributions(SPACES["dvse_core"])
    assert {name: dvse[name] for name in baseline} == baseline
    assert set(dvse) - set(baseline) == {"method.views", "method.orth_weight"}
