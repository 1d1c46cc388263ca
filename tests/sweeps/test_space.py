"""Walking a define-by-run space, trial 0, and the refusal of a changed search."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from raytrain.config import RunConfig, override
from raytrain.errors import RefusedError, UsageError
from raytrain.sweeps.initial_trials import paper_trial
from raytrain.sweeps.space import distributions, drawn, identity, refuse_other, walk
from raytrain.tracking.sweep_record import SearchIdentity
from tests.runs import small_run

pytest.importorskip("optuna", reason="the searches are Optuna's")


def branching(trial: Any) -> dict[str, Any] | None:
    """Three levels: views -> score -> score_scale."""
    views = trial.suggest_categorical("method.views", [1, 2, 4])
    if views == 1:
        return None
    if trial.suggest_categorical("method.score", ["max", "log_mean_exp"]) == "log_mean_exp":
        trial.suggest_float("method.score_scale", 1.0, 32.0, log=True)
    return {"method.fused_weight": 0.5 if views == 4 else 0.0}


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return small_run(tmp_path)


def test_the_walk_reaches_every_name_choice_and_bound() -> None:
    seen = {(name, value) for _, answers, _ in walk(branching) for name, value in answers.items()}
    assert {value for name, value in seen if name == "method.views"} == {1, 2, 4}
    assert {value for name, value in seen if name == "method.score"} == {"max", "log_mean_exp"}
    assert {value for name, value in seen if name == "method.score_scale"} == {1.0, 32.0}
    assert sorted(distributions(branching)) == ["method.score", "method.score_scale", "method.views"]


def test_derived_fields_follow_from_what_the_study_stored() -> None:
    assert drawn(branching, {"method.views": 4, "method.score": "max"}) == {
        "method.views": 4,
        "method.score": "max",
        "method.fused_weight": 0.5,
    }


def test_the_image_encoders_of_a_run_can_be_chosen_among(base: RunConfig) -> None:
    def encoders(trial: Any) -> None:
        trial.suggest_categorical("data.image_features", ["lite0", "lite2", "lite0,lite2"])

    both = override(base, drawn(encoders, {"data.image_features": "lite0,lite2"}))
    assert both.data.image_feature_names == ("lite0", "lite2")
    assert paper_trial(encoders, both) == {"data.image_features": "lite0,lite2"}


def test_trial_zero_is_the_recipe_along_its_own_branch(base: RunConfig) -> None:
    assert paper_trial(branching, base) == {"method.views": 2, "method.score": "max"}


def test_a_recipe_outside_the_space_cannot_be_trial_zero(base: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"method\.views=8 of the recipe lies outside the space \(\(1, 2, 4\)\)"):
        paper_trial(branching, override(base, {"method.views": 8}))


def test_the_space_of_another_method_is_refused(base: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"method\.views.*method\.kind=vse_infinity"):
        paper_trial(branching, override(base, {"method.kind": "vse_infinity"}))


def test_a_name_of_another_branch_than_the_recipes_does_not_matter(base: RunConfig) -> None:
    def methods(trial: Any) -> None:
        if trial.suggest_categorical("method.kind", ["dvse", "dive"]) == "dive":
            trial.suggest_float("method.alpha", 4.0, 64.0)

    assert paper_trial(methods, base) == {"method.kind": "dvse"}
    with pytest.raises(UsageError, match=r"method\.kind=vse_infinity of the recipe lies outside"):
        paper_trial(methods, override(base, {"method.kind": "vse_infinity"}))


def test_bounds_that_differ_by_branch_are_an_error() -> None:
    def crooked(trial: Any) -> None:
        wide = trial.suggest_categorical("method.views", [1, 2]) == 2
        trial.suggest_float("optim.lr", 1e-4, 1e-2 if wide else 1e-3)

    with pytest.raises(UsageError, match=r"optim\.lr different bounds"):
        distributions(crooked)


SEARCH = {"seed": 0, "grace_epochs": 1, "reduction": 3}


def test_the_same_search_is_itself_after_json(base: RunConfig) -> None:
    now = identity(branching, base, "f" * 64, SEARCH)
    refuse_other(
        SearchIdentity.model_validate(json.loads(json.dumps(now.model_dump()))),
        identity(branching, base, "f" * 64, SEARCH),
        "s",
    )


def test_a_field_that_came_after_the_sweep_was_started_had_its_default(base: RunConfig) -> None:
    now = identity(branching, base, "f", SEARCH)
    earlier = now.model_dump()
    del earlier["base"]["method.variance_over"]
    refuse_other(SearchIdentity.model_validate(earlier), now, "s")
    changed = identity(branching, override(base, {"method.variance_over": "negatives"}), "f", SEARCH)
    with pytest.raises(RefusedError, match=r"method\.variance_over: was others, is negatives"):
        refuse_other(SearchIdentity.model_validate(earlier), changed, "s")


def test_where_a_run_is_stored_does_not_change_the_search(base: RunConfig) -> None:
    moved = override(base, {"storage": "/elsewhere", "experiment": "other", "name": "n"})
    assert identity(branching, moved, "f", SEARCH) == identity(branching, base, "f", SEARCH)


def test_each_kind_of_change_is_refused_by_name(base: RunConfig) -> None:
    def wider(trial: Any) -> None:
        trial.suggest_categorical("method.views", [1, 2, 4, 8])

    before = identity(branching, base, "f", SEARCH)
    changed = {
        "space method.views": identity(wider, base, "f", SEARCH),
        "base optim.lr": identity(branching, override(base, {"optim.lr": 0.5}), "f", SEARCH),
        "data": identity(branching, base, "g", SEARCH),
        "search seed": identity(branching, base, "f", {**SEARCH, "seed": 1}),
    }
    for name, now in changed.items():
        with pytest.raises(RefusedError, match=f"{name}: was"):
            refuse_other(before, now, "s")


def test_tuples_to_choose_from_are_refused_with_the_lists_to_write() -> None:
    def tuples(trial: Any) -> None:
        trial.suggest_categorical("optim.decay_epochs", [(1,), (1, 2)])

    with pytest.raises(
        UsageError, match=re.escape("optim.decay_epochs tuples to choose from; write lists: [[1], [1, 2]]")
    ):
        distributions(tuples)
