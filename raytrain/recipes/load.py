"""A recipe by its name, or a run from a YAML file."""

from __future__ import annotations

from raytrain.config import RunConfig, from_yaml
from raytrain.errors import UsageError, no_such_name
from raytrain.recipes import RECIPES


def load_recipe(name: str) -> RunConfig:
    """The run of a recipe, or of a YAML file.

    Args:
        name: of a recipe, or the path of a file that ends in .yaml or .yml.

    Raises:
        UsageError: there is no such recipe, or the file holds no run.
    """
    if name in RECIPES:
        return RECIPES[name]()
    if name.endswith((".yaml", ".yml")):
        return from_yaml(name)
    raise UsageError(f"{no_such_name('recipe', name, sorted(RECIPES))} Or give a YAML file.")
