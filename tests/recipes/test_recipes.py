"""Every recipe is a whole run that survives its file, and each is found by its own name."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from raytrain.config import RunConfig, from_yaml, override, to_yaml
from raytrain.recipes import RECIPES

OWN = sorted(name for name in RECIPES if RECIPES.package_of(name) is None)


@pytest.mark.parametrize("name", OWN)
def test_every_recipe_builds_and_survives_yaml(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]()
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(recipe), encoding="utf-8")
    assert from_yaml(path) == recipe
    assert override(recipe, {}) == recipe  # validated as a whole, so nothing in it is out of bounds
    assert recipe.name == "" and recipe.storage == "runs" and recipe.seed == 0
    words = RECIPES[name].__doc__ or ""
    assert f"Run: `raytrain train {name}" in " ".join(words.split()) or "official code" in words


def test_a_recipe_is_named_after_its_method_and_its_table() -> None:
    assert len(OWN) >= 49
    for name in OWN:
        recipe = RECIPES[name]()
        table = {"f30k": "flickr30k", "emoji_triplets": "emoji"}.get(Path(recipe.data.table).name)
        table = table or Path(recipe.data.table).name
        method = name.partition(f"_{table}")[0]
        variant = getattr(recipe.method, recipe.method.variant_field or "kind")
        assert method in (recipe.method.kind, variant, "mgur", "single_vector"), name
        assert recipe.experiment in (table, Path(recipe.data.table).name)


def test_public_functions_of_the_modules_are_recipes_and_helpers_are_not() -> None:
    for name in OWN:
        function = RECIPES[name]
        assert function.__name__ == name and function.__module__.startswith("raytrain.recipes.")
        assert not inspect.signature(function).parameters
    assert not {"_on_coco", "_composed", "override"} & set(RECIPES)
    assert all(isinstance(RECIPES[name](), RunConfig) for name in OWN)
