"""The public interface as text: a line per name, with what a caller relies on.

python -m tests.api.public > tests/api/public.txt      # after an addition, or a removal that its rule allows
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import raytrain

BLOCKS = {
    "raytrain.similarity": None,
    "raytrain.losses": None,
    "raytrain.methods": ("METHODS",),
    "raytrain.recipes": ("RECIPES",),
    "raytrain.config": ("METHOD_CONFIGS", "override", "to_yaml", "from_yaml"),
    "raytrain.evaluation.ranking": ("ranks",),
    "raytrain.evaluation.reranking": ("fast_rerank",),
    "raytrain.training.fit": ("fit",),
}
"""Modules below `raytrain` whose names are public too: these names, or all of their `__all__` where it is None."""


def public() -> list[str]:
    """A line per public name, and per method or field of a public class."""
    lines = [line for name in raytrain.__all__ for line in _lines(f"raytrain.{name}", getattr(raytrain, name))]
    for module_name, names in BLOCKS.items():
        module = importlib.import_module(module_name)
        for name in module.__all__ if names is None else names:
            lines += _lines(f"{module_name}.{name}", getattr(module, name))
    return lines


def _lines(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, type):
        yield f"{name}{_signature(value)}" if inspect.isfunction(value) else name
        return
    bases = [base.__name__ for base in value.__mro__[1:] if base.__name__.endswith("Error") or base is Exception]
    yield f"{name}({', '.join(bases)})" if bases else name
    if dataclasses.is_dataclass(value):
        yield from (f"{name}.{field.name}: {field.type}" for field in dataclasses.fields(value) if field.repr)
    for member, defined in sorted(inspect.getmembers_static(value)):
        if member.startswith("_") or not getattr(value, "__module__", "").startswith("raytrain"):
            continue
        if isinstance(defined, property):
            yield f"{name}.{member}"
        function = getattr(defined, "__func__", defined)
        if inspect.isfunction(function) and function.__module__.startswith("raytrain"):
            yield f"{name}.{member}{_signature(function)}"


def _signature(function: Any) -> str:
    text = str(inspect.signature(function)).replace("'", "")
    return re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", text)


if __name__ == "__main__":
    print("\n".join(public()))
