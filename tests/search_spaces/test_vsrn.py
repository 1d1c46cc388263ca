"""VSRN is searched down to no graph at all, and never where a captioning loss has no words."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.space import distributions
from search_spaces import SPACES


def test_the_graph_can_be_left_out_and_the_captioning_loss_is_the_recipes() -> None:
    names = distributions(SPACES["vsrn"])
    assert names["method.blocks"].low == 0
    assert "method.caption_weight" not in names
