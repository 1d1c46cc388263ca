"""What is tried before the sampler draws, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import RunConfig, override
from raytrain.errors import UsageError
from raytrain.sweeps.initial_trials import best_of, even_start, first_trials, grid_points
from raytrain.tracking.journal import Journal
from search_spaces import SPACES
from tests.runs import small_run


def branching(trial: Any) -> None:
    if trial.suggest_categorical("method.views", [1, 2]) > 1:
        trial.suggest_categorical("method.score", ["max", "mean"])
    trial.suggest_float("method.margin", 0.1, 0.3, step=0.1)


def rate(trial: Any) -> None:
    trial.suggest_float("optim.lr", 1e-4, 1e-2, log=True)


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return override(small_run(tmp_path), {"method.views": 2, "method.margin": 0.2})


def write_trials(folder: Path, *trials: tuple[float | None, str, dict[str, Any]]) -> str:
    journal = Journal(folder)
    for number, (value, state, params) in enumerate(trials):
        journal.write("trial", number=number, run=f"s-t{number:03d}", value=value, state=state, params=params)
    return str(folder)


def test_a_grid_is_every_combination_of_every_branch() -> None:
    points = grid_points(branching)
    expected = [
        {"method.views": views, **score, "method.margin": margin}
        for views, score in ((1, {}), (2, {"method.score": "max"}), (2, {"method.score": "mean"}))
        for margin in (0.1, 0.2, 0.1 + 2 * 0.1)
    ]
    assert len(points) == len(expected)
    assert all(one in points for one in expected)


def test_a_grid_of_a_field_without_steps_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"none for optim\.lr"):
        grid_points(rate)


def test_a_grid_begins_with_the_recipe_and_has_it_once(base: RunConfig) -> None:
    trials = first_trials(branching, base, grid=True, each_method=0, warm_start=())
    assert trials[0] == {"method.views": 2, "method.score": base.method.score, "method.margin": 0.2}  # type: ignore[union-attr]
    assert len(trials) == 9
    assert trials.count(trials[0]) == 1


def test_a_warm_start_is_the_best_full_trials_that_this_space_can_draw(base: RunConfig, tmp_path: Path) -> None:
    folder = write_trials(
        tmp_path / "before",
        (50.0, "complete", {"optim.lr": 5e-4, "method.margin": 0.9}),
        (90.0, "pruned", {"optim.lr": 1.5e-3}),
        (70.0, "complete", {"optim.lr": 2e-3}),
        (80.0, "complete", {"optim.lr": 5e-2}),  # outside of this space
        (None, "failed", {"optim.lr": 3e-3}),
    )
    assert best_of(rate, base, folder) == [{"optim.lr": 2e-3}, {"optim.lr": 5e-4}, {"optim.lr": 1.5e-3}]
    trials = first_trials(rate, base, grid=False, each_method=0, warm_start=(folder, folder))
    assert trials == [{"optim.lr": base.optim.lr}, {"optim.lr": 2e-3}, {"optim.lr": 5e-4}, {"optim.lr": 1.5e-3}]


def test_a_warm_start_from_nothing_is_refused(base: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sweep with a trial"):
        best_of(rate, base, str(tmp_path / "nowhere"))
    folder = write_trials(tmp_path / "other", (80.0, "complete", {"optim.lr": 5e-2}))
    with pytest.raises(UsageError, match=r"none of its trials .*optim\.lr=0\.05"):
        best_of(rate, base, folder)


def test_an_even_start_is_of_spaces_that_draw_the_method() -> None:
    assert even_start(SPACES["dvse"], 0) == []
    with pytest.raises(UsageError, match=r"each_method is for a space that draws method\.kind"):
        even_start(SPACES["dvse"], 2)


@pytest.mark.parametrize("value", ["high", True, None, [1e-3]])
def test_a_warm_start_leaves_out_values_that_are_no_numbers(value: object, base: RunConfig, tmp_path: Path) -> None:
    good, hostile = (90.0, "complete", {"optim.lr": 2e-3}), (95.0, "complete", {"optim.lr": value})
    assert best_of(rate, base, write_trials(tmp_path / "s", good, hostile)) == [{"optim.lr": 2e-3}]
