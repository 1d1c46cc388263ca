"""Every name, bound and choice of every space is a RunConfig, and every recipe is trial 0 of its space."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.cluster.space import distributions, paper_trial, walk
from raytrain.config import flatten, override
from raytrain.recipes import RECIPES
from search_spaces import SPACES


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_all_that_a_space_can_draw_is_a_run(recipe: str) -> None:
    base = RECIPES[recipe]()
    space = SPACES[base.method.kind]
    visits = walk(space)
    for _, _, changes in visits:
        flat = flatten(override(base, changes))
        assert all(flat[name] == value for name, value in changes.items())
    assert len(visits) >= 2


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_the_recipe_itself_is_trial_zero(recipe: str) -> None:
    base = RECIPES[recipe]()
    trial = paper_trial(SPACES[base.method.kind], base)
    assert override(base, trial) == base


def test_dvse_searches_what_the_paper_leaves_open() -> None:
    names = distributions(SPACES["dvse"])
    assert names["method.views"].choices == (1, 2, 4, 6, 8)
    assert (names["method.orth_weight"].low, names["method.orth_weight"].high, names["method.orth_weight"].log) == (
        1e-3,
        1.0,
        True,
    )
    assert {"method.weight_fn", "method.weight_gradient", "method.orth_schedule", "method.score"} <= set(names)


def test_one_view_leaves_nothing_to_weigh_or_to_keep_apart() -> None:
    for _, answers, _ in walk(SPACES["dvse"]):
        assert (answers["method.views"] == 1) == ("method.orth_weight" not in answers)


def test_one_element_leaves_nothing_to_compare_or_to_keep_apart() -> None:
    for _, answers, _ in walk(SPACES["dive"]):
        assert (answers["method.views"] == 1) == ("method.similarity" not in answers)
        assert ("method.alpha" in answers) == (answers.get("method.similarity") == "smooth_chamfer")
