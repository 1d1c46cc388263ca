"""Search spaces, define-by-run functions of RunConfig's field names: one per method, and some over methods.

Every module here is a space: the function of its own name. A package adds its own as an entry point of the group
raytrain.search_spaces, `two_towers = "raytrain_two_towers.search_space:two_towers"` (docs/plugins.md).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raytrain.plugins import Registry

if TYPE_CHECKING:
    import optuna

Space = Callable[["optuna.Trial"], "dict[str, Any] | None"]
"""Draws each searched field of a RunConfig by its dotted name; may return further, derived fields."""


def _check(name: str, space: Any) -> None:
    if not callable(space):
        raise ValueError(f"{space!r} is no function of an Optuna trial")


def _own() -> dict[str, Space]:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name: getattr(importlib.import_module(f"{__name__}.{name}"), name) for name in names}


SPACES: Registry[Space] = Registry("raytrain.search_spaces", "search space", _own, _check)
