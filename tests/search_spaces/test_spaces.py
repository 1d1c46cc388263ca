"""Every name, bound and choice of every space is a RunConfig, and every recipe is trial 0 of its spaces."""

from __future__ import annotations

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import flatten, override
from raytrain.recipes import RECIPES
from raytrain.sweeps.initial_trials import paper_trial
from raytrain.sweeps.space import walk
from search_spaces import SPACES
from search_spaces.image_text import METHODS

# a recipe and each space that may search around it
PAIRS = [(name, RECIPES[name]().method.kind) for name in sorted(RECIPES)]
PAIRS += [(name, "image_text") for name, kind in PAIRS if kind in METHODS]
PAIRS += [("single_vector_flickr8k", "heads")]
PAIRS += [
    (name, f"{kind}_core")
    for name, kind in PAIRS
    if f"{kind}_core" in SPACES and flatten(RECIPES[name]())["method.loss"] == "triplet"
]


@pytest.mark.parametrize(("recipe", "space"), PAIRS)
def test_all_that_a_space_can_draw_is_a_run(recipe: str, space: str) -> None:
    base = RECIPES[recipe]()
    visits = walk(SPACES[space])
    for _, _, changes in visits:
        flat = flatten(override(base, changes))
        assert all(flat[name] == value for name, value in changes.items())
    assert len(visits) >= 2


@pytest.mark.parametrize(("recipe", "space"), PAIRS)
def test_the_recipe_itself_is_trial_zero(recipe: str, space: str) -> None:
    base = RECIPES[recipe]()
    trial = paper_trial(SPACES[space], base)
    assert override(base, trial) == base
