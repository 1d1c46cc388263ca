"""The search over methods: each is drawn with all of its own space, and the sampler comes to the best of them."""

from __future__ import annotations

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import flatten, override
from raytrain.errors import UsageError
from raytrain.recipes import RECIPES
from raytrain.sweeps.initial_trials import paper_trial
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.space import distributions, drawn, walk
from raytrain.sweeps.study import sampler
from search_spaces import SPACES
from search_spaces.image_text import METHODS

RECIPES_OF_METHODS = [name for name in sorted(RECIPES) if RECIPES[name]().method.kind in METHODS]


def sampled(space: str, trials: int, best: str, seed: int = 0) -> list[optuna.trial.FrozenTrial]:
    """Trials as a sweep's own sampler draws them, of a score that one method wins: its region drop near 0.1, by 100."""
    study = optuna.create_study(direction="maximize", sampler=sampler(SweepOptions(trials=trials, seed=seed)))
    study.enqueue_trial(paper_trial(SPACES[space], RECIPES["dvse_emoji"]()))
    for _ in range(trials):
        trial = study.ask()
        SPACES[space](trial)
        value = 100.0 * (trial.params["method.kind"] == best) - abs(trial.params["data.region_drop"] - 0.1)
        study.tell(trial, value)
    return list(study.trials)


@pytest.mark.parametrize("best", sorted(METHODS))
def test_a_search_over_methods_draws_runs_of_each_and_comes_to_the_best(best: str) -> None:
    trials = sampled("image_text", 60, best)
    kinds = [trial.params["method.kind"] for trial in trials]
    assert set(kinds) == set(METHODS)
    assert kinds[0] == "dvse"  # the recipe's own
    assert kinds[30:].count(best) > 15  # of thirty; chance is ten
    for trial in trials:
        config = override(RECIPES["dvse_emoji"](), trial.params)
        flat = flatten(config)
        assert all(flat[name] == value for name, value in trial.params.items())
        by_image = config.method.kind == "dive" and trial.params["data.batch_by"] == "method"
        assert config.batch_by == ("image" if by_image else "pair")
        assert drawn(SPACES["image_text"], trial.params) == trial.params  # what a resumed sweep reads back


@pytest.mark.parametrize("recipe", RECIPES_OF_METHODS)
def test_many_random_draws_build_around_each_recipe(recipe: str) -> None:
    base, space = RECIPES[recipe](), SPACES["image_text"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    counts = dict.fromkeys(METHODS, 0)
    while min(counts.values()) < 30:
        trial = study.ask()
        space(trial)
        flat = flatten(override(base, trial.params))
        assert all(flat[name] == value for name, value in trial.params.items())
        counts[trial.params["method.kind"]] += 1


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_a_search_over_methods_asks_each_for_all_that_its_own_space_asks(kind: str) -> None:
    own = {name for asked, _, _ in walk(SPACES[kind]) for name in asked}
    visits = [answers for _, answers, _ in walk(SPACES["image_text"]) if answers["method.kind"] == kind]
    shared = {"method.kind", "optim.lr", "optim.batch_size", "optim.ema_decay", "method.loss", "data.region_drop",
              "data.word_drop"}  # fmt: skip
    of_triplets = {"method.margin", "method.mean_warmup_epochs"}
    assert {name for answers in visits for name in answers} == own | shared | of_triplets
    for answers in visits:  # no method inherits one from the recipe's, and none is drawn that its loss does not read
        assert shared <= set(answers)
        assert (of_triplets <= set(answers)) == (answers["method.loss"] != "infonce")
        assert ("method.temperature" in answers) == (answers["method.loss"] != "triplet")


def test_no_method_is_left_out_of_its_own_bounds() -> None:
    """What the methods' own spaces can draw, the search over methods can; but 1,024 pairs, which would be images."""
    wide = distributions(SPACES["image_text"])
    for kind in METHODS:
        for name, own in distributions(SPACES[kind]).items():
            if hasattr(own, "choices"):
                assert set(own.choices) - {1024} <= set(wide[name].choices), (kind, name)
            else:
                assert wide[name].low <= own.low <= own.high <= wide[name].high, (kind, name)
                assert wide[name].log == own.log, (kind, name)


def test_a_recipe_that_fixes_how_batches_are_made_is_refused_before_any_trial() -> None:
    base = override(RECIPES["dive_emoji"](), {"data.batch_by": "image"})
    visits = [changes for _, _, changes in walk(SPACES["image_text"])]
    with pytest.raises(UsageError, match=r"vse_infinity does not train with data\.batch_by=image"):
        [override(base, changes) for changes in visits]
