"""Importances of searched fields: on made-up trials whose value is decided by one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("optuna", reason="importances are Optuna's")

from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json

from raytrain.errors import Problem
from raytrain.review.importance import importances, outside, read_space
from tests.review.made_runs import write_space

DISTRIBUTIONS = {
    "method.kind": CategoricalDistribution(["dvse", "dive"]),
    "optim.lr": FloatDistribution(1e-4, 1e-2, log=True),
    "method.margin": FloatDistribution(0.0, 1.0),
    "method.alpha": FloatDistribution(1.0, 100.0, log=True),
}
SPACE = {name: json.loads(distribution_to_json(distribution)) for name, distribution in DISTRIBUTIONS.items()}


def trials(number: int = 60) -> list[dict[str, Any]]:
    """DVSE lives by its rate, DivE by its alpha; margins decide nothing."""
    random = np.random.default_rng(0)
    made = []
    for at in range(number):
        kind = "dvse" if at % 2 else "dive"
        params = {"method.kind": kind, "optim.lr": 10 ** random.uniform(-4, -2), "method.margin": random.uniform()}
        if kind == "dive":
            params["method.alpha"] = 10 ** random.uniform(0, 2)
        decisive = params["optim.lr"] / 1e-2 if kind == "dvse" else params["method.alpha"] / 100
        value = 300 - 20 * abs(np.log10(decisive) + 1) + random.normal()
        event = {"number": at, "run": f"s-t{at:03d}", "params": {**params, "derived": 1}, "state": "complete"}
        made.append({**event, "value": None if at == 7 else float(value)})
    return made


def test_each_method_is_decided_by_its_own_field() -> None:
    result = importances(trials(), SPACE)
    assert set(result) == {"dvse", "dive"}
    assert set(result["dvse"]) == {"optim.lr", "method.margin"}
    assert next(iter(result["dvse"])) == "optim.lr"
    assert next(iter(result["dive"])) == "method.alpha"
    for shares in result.values():
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        assert max(shares.values()) > 0.6


def test_choices_may_be_lists_and_a_distribution_that_cannot_be_compared_is_left_out(tmp_path: Path) -> None:
    space = {
        "optim.decay_epochs": {"name": "CategoricalDistribution", "attributes": {"choices": [[1], [1, 2]]}},
        "optim.lr": {
            "name": "FloatDistribution", "attributes": {"low": 1e-4, "high": 1e-2, "log": [], "step": None}
        },
    }  # fmt: skip
    tried = [
        {
            "number": at,
            "params": {"optim.decay_epochs": [[1], [1, 2]][at % 2], "optim.lr": 1e-3},
            "value": at % 2 + at / 99,
        }
        for at in range(20)
    ]
    assert importances(tried, space) == {"": {"optim.decay_epochs": 1.0}}
    assert outside([*tried, {"number": 99, "params": {"optim.decay_epochs": [3]}}], space) == [99]
    skipped: list[Problem] = []
    write_space(tmp_path, space)
    assert list(read_space(tmp_path, skipped)) == ["optim.decay_epochs"]
    assert [problem.what.partition(":")[0] for problem in skipped] == ["optim.lr"]


def test_too_few_trials_have_no_importance() -> None:
    assert importances(trials(12), SPACE) == {}
    assert importances([], {}) == {}


def test_a_space_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert read_space(tmp_path) == {}
    for text in ("{", "[]", '{"space": []}', '{"other": {}}'):
        (tmp_path / "space.json").write_text(text)
        assert read_space(tmp_path) == {}
    write_space(tmp_path, SPACE)
    assert read_space(tmp_path) == SPACE
