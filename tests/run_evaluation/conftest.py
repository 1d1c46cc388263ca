"""What tests of re-ranking a run share."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from torch import Tensor

from raytrain.evaluation.temperature_search import search
from raytrain.evaluation.temperature_search.choice import OFF, Choice, HeldOut, Setting


@pytest.fixture
def best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the best of all settings: a made-up run has too few queries for a gain beyond its standard error."""

    def choose(recalls: Mapping[Setting, Tensor]) -> Choice:
        best = max(recalls, key=lambda setting: float(recalls[setting].mean()))
        return Choice(best, HeldOut(recalls[OFF], recalls[best]))

    monkeypatch.setattr(search, "choose", choose)
