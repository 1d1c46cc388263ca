"""`raytrain data build`: builds a table from a source's files."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raytrain.data import sources
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.files import room_in

# a source is a module there: nothing else names it
SOURCES = tuple(sorted(module.name for module in pkgutil.iter_modules(sources.__path__)))
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "int | None": (int, type(None)),
}


def build(source: str, root: str | os.PathLike[str] | None, out: str | os.PathLike[str], **options: Any) -> Table:
    """Builds the table of a source; a table at `out` is replaced once the new one is complete.

    Args:
        source: a name of SOURCES; docs/data.md describes each.
        root: folder of the source's files; None for sources from installed packages.
        out: folder of the table.
        options: keyword arguments of the source's own `build`.

    Raises:
        UsageError: the source or an option does not exist, or an option's value is wrong.
        DataError: all problems of the files; nothing is left behind.
        DiskFullError: the disk is full; nothing is left behind.
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
    """The source's `build` function; UsageError for an unknown source."""
    if source not in SOURCES:
        raise UsageError(f"no source '{source}'. Sources: {', '.join(SOURCES)}.")
    module = importlib.import_module(f"raytrain.data.sources.{source}")
    make: Callable[..., Table] = module.build
    return make


def options_of(source: str) -> list[str]:
    """Names of a source's options: the keyword-only parameters of its `build`."""
    parameters = inspect.signature(function_of(source)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
