"""Modules that need a package which need not be installed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType


@functools.cache
def module_with_numba(name: str) -> ModuleType | None:
    """The module of that name, whose loops numba compiles; None where numba (the extra `fast`) is not installed."""
    return importlib.import_module(name) if importlib.util.find_spec("numba") else None
