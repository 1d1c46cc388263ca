"""Whole runs as functions: each returns a complete RunConfig, which overrides then change.

Every public function of a module here that takes no argument is a recipe of its own name. A package adds its own as
entry points of the group raytrain.recipes: `two_towers_emoji = "raytrain_two_towers.recipes:two_towers_emoji"`
(docs/plugins.md).
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from raytrain.config import RunConfig
from raytrain.plugins import Registry

Recipe = Callable[[], RunConfig]


def _check(name: str, recipe: Any) -> None:
    if not callable(recipe):
        raise ValueError(f"{recipe!r} is no function that returns a RunConfig")


def _own() -> dict[str, Recipe]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {
        name: function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if not inspect.signature(function).parameters
    }


RECIPES: Registry[Recipe] = Registry("raytrain.recipes", "recipe", _own, _check)

__all__ = ["RECIPES"]
