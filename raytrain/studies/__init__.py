"""Studies by name: each answers one question with variants of a recipe, seeds and a verdict (docs/studies.md).

Every public function of a module of `raytrain/studies/papers/` is a study: `views` of `dvse.py` is "dvse/views". A
package adds its own as entry points of the group raytrain.studies (docs/plugins.md). Reading them imports no torch.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from raytrain.plugins import Registry
from raytrain.studies.study import Study

StudyFunction = Callable[[], Study]


def _check(name: str, function: Any) -> None:
    if not callable(function):
        raise ValueError(f"{function!r} is no function that returns a Study")


def _own() -> dict[str, StudyFunction]:
    from raytrain.studies import papers

    modules = [
        importlib.import_module(f"{papers.__name__}.{module.name}") for module in pkgutil.iter_modules(papers.__path__)
    ]
    return {
        f"{module.__name__.rpartition('.')[2]}/{name.replace('_', '-')}": function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


STUDIES: Registry[StudyFunction] = Registry("raytrain.studies", "study", _own, _check)

__all__ = ["STUDIES"]
