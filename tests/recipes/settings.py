"""What the tests of recipes share: the settings of a recipe, and those in which two recipes differ."""

from __future__ import annotations

from typing import Any

from raytrain.config import flatten
from raytrain.recipes import RECIPES


def settings(recipe: str, *names: str) -> dict[str, Any]:
    """{"optim.lr": 5e-4, ...}: the named settings of a recipe."""
    flat = flatten(RECIPES[recipe]())
    return {name: flat[name] for name in names}


def check(recipe: str, expected: dict[str, Any]) -> None:
    """The recipe has these settings."""
    assert settings(recipe, *expected) == expected


def differences(recipe: str, base: str) -> dict[str, Any]:
    """{name: value of the recipe} of every setting that its base has not, or has otherwise."""
    flat, other = flatten(RECIPES[recipe]()), flatten(RECIPES[base]())
    return {name: value for name, value in flat.items() if name not in other or other[name] != value}
