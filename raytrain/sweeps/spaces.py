"""The search spaces there are: raytrain's own, those of installed packages, and what this process adds.

raytrain's own are the modules of `search_spaces/`, each the function of its own name. A repository has that folder
beside `raytrain/`; a wheel has it inside, as the package `raytrain.search_spaces`, so that an environment gets no
package of a name as common as that (docs/decisions/0012-the-wheel.md). They are imported under the latter name from
both places. A package adds its own as an entry point of the group raytrain.search_spaces (docs/plugins.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raytrain.errors import UsageError, no_such_name
from raytrain.plugins import Registry

if TYPE_CHECKING:
    import optuna

Space = Callable[["optuna.Trial"], "dict[str, Any] | None"]
"""Draws each searched field of a RunConfig by its dotted name; may return further, derived fields."""

_PACKAGE = "raytrain.search_spaces"


def _check(name: str, space: Any) -> None:
    if not callable(space):
        raise ValueError(f"{space!r} is no function of an Optuna trial")


def own_package(root: Path | None = None) -> ModuleType:
    """The package of raytrain's own spaces.

    Args:
        root: the folder of the package raytrain; default that of this one.
    """
    root = root or Path(__file__).resolve().parent.parent
    beside = root.parent / "search_spaces" / "__init__.py"
    if (root / "search_spaces").is_dir() or _PACKAGE in sys.modules or not beside.is_file():
        return importlib.import_module(_PACKAGE)
    return _import_from(beside, _PACKAGE)


def _own() -> dict[str, Space]:
    package = own_package()
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {name: getattr(importlib.import_module(f"{package.__name__}.{name}"), name) for name in names}


SPACES: Registry[Space] = Registry(_PACKAGE, "search space", _own, _check)


def space_of(word: str) -> tuple[str, Space]:
    """(name, function) of a search space that a command line names: one there is, or FILE.py, whose code is run.

    Raises:
        UsageError: there is no such name; the file is absent, cannot be run, or has no function of its own name.
    """
    if not word.endswith(".py"):
        if word not in SPACES:
            raise UsageError(no_such_name("search space", word, sorted(SPACES)))
        return word, SPACES[word]
    path = Path(word).expanduser()
    name = path.stem
    if not path.is_file():
        raise UsageError(f"{path}: no such file; a search space is a name of `raytrain spaces`, or a Python file")
    try:
        module = _import_from(path, f"raytrain_space_file_{name}")
    except Exception as error:  # whatever the file's own code raises
        raise UsageError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    space = getattr(module, name, None)
    if not callable(space):
        raise UsageError(f"{path} has no function {name}(trial): a file is named after its function")
    return name, space


def _import_from(path: Path, name: str) -> ModuleType:
    """Runs a file as the module or package of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
