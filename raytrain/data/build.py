"""`raytrain data build`: a table from a public layout.

A source is a module of raytrain/data/sources/. A package adds its own as an entry point of the group raytrain.sources,
`sidecar = "raytrain_two_towers.sidecar"` (docs/plugins.md).
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from raytrain.data import sources
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.files import room_in
from raytrain.plugins import Lazy, Registry


def _check(name: str, source: Any) -> None:
    if not callable(getattr(source, "build", None)):
        raise ValueError(f"{source!r} has no function `build`")


def _own() -> Lazy[ModuleType]:
    names = tuple(module.name for module in pkgutil.iter_modules(sources.__path__))
    return Lazy(names, lambda name: importlib.import_module(f"{sources.__name__}.{name}"))


SOURCES: Registry[ModuleType] = Registry("raytrain.sources", "source", _own, _check)
"""{name: the source's module}; raytrain's own are imported when they are asked for."""
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "int | None": (int, type(None)),
}


def build(source: str, root: str | os.PathLike[str] | None, out: str | os.PathLike[str], **options: Any) -> Table:
    """The table of a source; a table already at `out` is replaced when the new one is complete.

    Args:
        source: a name of SOURCES; docs/data.md describes each.
        root: folder of the downloaded files; None for sources that come from packages.
        out: folder of the table.
        options: keyword arguments of the source's own `build`.

    Raises:
        UsageError: a source or option that does not exist, with those that do.
        DataError: everything wrong with the files; nothing is left behind.
        DiskFullError: nothing is left behind.
    """
    make = function_of(source)
    allowed = options_of(source)
    if unknown := [name for name in options if name not in allowed]:
        names = ", ".join(allowed) or "none"
        raise UsageError(f"source {source} has no option '{unknown[0]}'. Options: {names}.")
    for name, value in list(options.items()):
        kinds = _KINDS.get(str(inspect.signature(make).parameters[name].annotation), ())
        if kinds == (str,) and type(value) in (int, float):
            options[name] = str(value)  # read as YAML: a column may well be called 0
        elif kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            words = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
            raise UsageError(f"source {source}: option {name} takes {words}; given: {value!r}")
    takes_root = "root" in inspect.signature(make).parameters
    if takes_root and root is None:
        raise UsageError(f"source {source} reads a folder; name it with --root")
    if not takes_root and root is not None:
        raise UsageError(f"source {source} comes from installed packages and takes no --root")
    with room_in(Path(out).expanduser().resolve().parent, f"table {out}"):
        table: Table = make(root, out, **options) if takes_root else make(out, **options)
    return table


def function_of(source: str) -> Callable[..., Table]:
    """The source's own `build`."""
    if source not in SOURCES:
        raise UsageError(f"no source '{source}'. Sources: {', '.join(SOURCES)}.")
    make: Callable[..., Table] = SOURCES[source].build
    return make


def options_of(source: str) -> list[str]:
    """Names of the options a source takes."""
    parameters = inspect.signature(function_of(source)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
