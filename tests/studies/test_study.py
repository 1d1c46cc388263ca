"""Variants of a study: combinations of levels, and errors that name what there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raytrain.errors import UsageError
from raytrain.recipes import RECIPES
from raytrain.studies.study import Claim, Factor, Level, Measure, Reference, Study, settings
from tests.studies.in_process import margins

RECIPE = RECIPES["dvse_emoji"]()


def test_two_factors_make_every_combination_in_order() -> None:
    study = Study(
        question="?",
        paper="",
        factors=[
            Factor("K", settings("method.views", (1, 2), "K = {}")),
            Factor("batch", lambda recipe: {"own": Level(), "half": Level({"optim.batch_size": 8})}),
        ],
        baseline="K = 1, own",
        measures=[Measure("rsum", "rsum")],
        setup={"optim.num_epochs": 1},
    )
    variants = study.variants(RECIPE)
    assert [variant.name for variant in variants] == ["K = 1, own", "K = 1, half", "K = 2, own", "K = 2, half"]
    assert variants[3].changes == {"optim.num_epochs": 1, "method.views": 2, "optim.batch_size": 8}
    assert [variant.number for variant in variants] == [1.0, 1.0, 2.0, 2.0]


def test_settings_that_are_no_numbers_have_no_place_on_an_axis() -> None:
    assert settings("method.weight_gradient", (True,))["True"].number is None
    assert settings("method.weight_fn", ("inv",)) == {"inv": Level({"method.weight_fn": "inv"})}


def test_a_recipe_of_another_method_is_refused() -> None:
    with pytest.raises(UsageError, match="this study is of dvse; the recipe trains dive"):
        margins().variants(RECIPES["dive_emoji"]() if "dive_emoji" in RECIPES else RECIPES["dive_flickr8k_grid"]())


@pytest.mark.parametrize(
    "changes", [{"baseline": "margin 0.3"}, {"claims": [Claim("", "margin 0.2", "rsum", "below", "margin 0.3")]}]
)
def test_a_name_of_no_variant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"no variant 'margin 0\.3'.*Variants: margin 0\.2, margin 0\.1"):
        replace(margins(), **changes).variants(RECIPE)  # type: ignore[arg-type]


def test_a_reference_is_imported_when_it_is_called() -> None:
    reference = Reference("builtins:max", {"default": 3})
    assert reference([]) == 3
    assert str(reference) == "builtins:max(default=3)"


def test_recalls_are_told_from_numbers_of_runs() -> None:
    kinds = {"rsum": True, "i2t/recall_at_1": True, "recall_at_50": True, "val/map_at_r": False}
    assert {name: Measure(name, "").is_recall for name in kinds} == kinds
    assert not Measure("recall_at_10_1", "", Reference("builtins:max")).is_recall
    with pytest.raises(UsageError, match="no measure 'mrr'"):
        margins().measure("mrr")
