"""Whole runs as functions: each returns a complete RunConfig, which overrides then change.

Every public function of a module named here is a recipe of its own name.
"""

import inspect
from collections.abc import Callable

from raytrain.config import RunConfig
from raytrain.recipes import cirr, coco, cub, emoji, fashion_iq, flickr8k, flickr30k, products

RECIPES: dict[str, Callable[[], RunConfig]] = {
    name: function
    for module in (cirr, coco, cub, emoji, fashion_iq, flickr8k, flickr30k, products)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}

__all__ = ["RECIPES"]
