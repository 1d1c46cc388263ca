"""`raytrain data build`: a table from a public layout.

A source is a module of raytrain/data/sources/. A package adds its own as an entry point of the group raytrain.sources,
`sidecar = "raytrain_two_towers.sidecar"` (docs/plugins.md).
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from raytrain.config.overrides import from_text, split_overrides
from raytrain.data import sources
from raytrain.data.special_files import refuse_special_files
from raytrain.data.table import Table
from raytrain.errors import UsageError, argument, did_you_mean, no_such_name
from raytrain.files import room_in
from raytrain.plugins import Lazy, Registry

_WORDS: dict[Any, str] = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number", type(None): "none",
}  # fmt: skip


def _check(name: str, source: Any) -> None:
    if not callable(getattr(source, "build", None)):
        raise ValueError(f"{source!r} has no function `build`")


def _own() -> Lazy[ModuleType]:
    names = tuple(module.name for module in pkgutil.iter_modules(sources.__path__))
    return Lazy(names, lambda name: importlib.import_module(f"{sources.__name__}.{name}"))


SOURCES: Registry[ModuleType] = Registry("raytrain.sources", "source", _own, _check)
"""{name: the source's module}; raytrain's own are imported when they are asked for."""


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
    for name, value in options.items():
        type_ = _type_of(source, name)
        try:
            TypeAdapter(type_).validate_python(value, strict=True)
        except ValueError:
            raise _not_of_its_type(source, name, type_, value) from None
    takes_root = "root" in inspect.signature(make).parameters
    if takes_root and root is None:
        raise UsageError(f"source {source} reads a folder; name it with {argument('root')}")
    if not takes_root and root is not None:
        raise UsageError(f"source {source} comes from installed packages and takes no {argument('root')}")
    if root is not None:
        refuse_special_files(root)
    with room_in(Path(out).expanduser().resolve().parent, f"table {out}"):
        table: Table = make(root, out, **options) if takes_root else make(out, **options)
    return table


def function_of(source: str) -> Callable[..., Table]:
    """The source's `build` function; UsageError for an unknown source."""
    if source not in SOURCES:
        raise UsageError(no_such_name("source", source, SOURCES))
    make: Callable[..., Table] = SOURCES[source].build
    return make


def options_of(source: str) -> dict[str, Any]:
    """{name: its type} of the options that a source takes."""
    make = function_of(source)
    types_ = get_type_hints(make)
    parameters = inspect.signature(make).parameters.values()
    return {p.name: types_[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}


def parse_options(source: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Options for `build`, each read as the type that the source gives it: ["val=0.1", "text=0"] -> {"val": 0.1, ...}.

    Raises:
        UsageError: a source or option that does not exist, or a text that is no value of the option's type.
    """
    options = {}
    for name, text in split_overrides(arguments, example="val=0.1").items():
        type_ = _type_of(source, name)
        try:
            options[name] = from_text(text, type_)
        except ValueError:
            raise _not_of_its_type(source, name, type_, text) from None
    return options


def _type_of(source: str, name: str) -> Any:
    options = options_of(source)
    if name not in options:
        hint = did_you_mean(name, options)
        raise UsageError(f"source {source} has no option '{name}'{hint} Options: {', '.join(options) or 'none'}.")
    return options[name]


def _not_of_its_type(source: str, name: str, type_: Any, given: Any) -> UsageError:
    members = get_args(type_) if get_origin(type_) in (Union, types.UnionType) else (type_,)
    words = " or ".join(_WORDS.get(member, str(member)) for member in members)
    return UsageError(f"source {source}: option {name} takes {words}; given: {given!r}")
