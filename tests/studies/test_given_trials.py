"""The searcher hands out what it is given, as the cluster has room and the budget lasts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

from ray.tune.search import Searcher

from raytrain.studies.given_trials import given_trials


def test_trials_are_handed_out_in_order_and_as_there_is_room(tmp_path: Path) -> None:
    room = [1]
    capacity = SimpleNamespace(room=lambda: room[0], spent=lambda: None)
    search = given_trials([(4, {"seed": 1}), (2, {"seed": 2})], capacity)  # type: ignore[arg-type]
    assert search.suggest("a") == {"number": 4, "changes": {"seed": 1}}
    assert search.suggest("b") is None
    search.on_trial_complete("a", error=True)
    assert search.suggest("b") == {"number": 2, "changes": {"seed": 2}}
    room[0] = 5
    assert search.suggest("c") == Searcher.FINISHED
    search.save(str(tmp_path / "file"))


def test_nothing_is_handed_out_once_the_budget_is_spent() -> None:
    capacity = SimpleNamespace(room=lambda: 1, spent=lambda: "1 hours")
    assert given_trials([(0, {})], capacity).suggest("a") == Searcher.FINISHED  # type: ignore[arg-type]
