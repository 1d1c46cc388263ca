"""Random draws of a trial depend on its number alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import open_study


def test_random_draws_of_a_trial_are_the_same_whatever_was_resumed_before_it(tmp_path: Path) -> None:
    def draw(study: Any, margin_first: bool) -> tuple[float, float]:
        trial = study.ask()
        names = ["optim.lr", "method.margin"]
        for name in reversed(names) if margin_first else names:
            trial.suggest_float(name, 0, 1)
        return trial.params["optim.lr"], trial.params["method.margin"]

    options = SweepOptions(trials=6, sampler="random", seed=3)
    for folder in "abc":
        (tmp_path / folder).mkdir()
    whole = open_study(tmp_path / "a", "s", options)
    expected = [draw(whole, False) for _ in range(6)]
    drawn = [draw(open_study(tmp_path / "b", "s", options), number % 2 == 1) for number in range(6)]
    assert drawn == expected
    assert len({value for pair in expected for value in pair}) == 12
    other = open_study(tmp_path / "c", "s", SweepOptions(trials=6, sampler="random", seed=4))
    assert draw(other, False) not in expected
