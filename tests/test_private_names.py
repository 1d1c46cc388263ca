"""Private names of other libraries stand in compat modules and nowhere else, so that an upgrade is checked there."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = re.compile(r"_[a-zA-Z]\w*$")
OWN_ATTRIBUTES = {"_replace", "_asdict", "_fields", "_make"}  # public ones of a NamedTuple


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """(line, what it is) of every private name that a module uses and does not define.

    Modules that are private or below one; attributes, and names of attributes in getattr and setattr, of which the
    module has no definition; arguments by a private name; and torch.ops, whose operators come without a promise. The
    standard library is left out: it changes with Python alone.
    """
    tree = ast.parse(source)
    own = set(OWN_ATTRIBUTES)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            own.add(node.attr)
    modules = {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("raytrain", "search_spaces")):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(PRIVATE.match(part) for part in parts) and node.module != "__future__":
                yield node.lineno, f"import of {'.'.join(parts)}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if any(PRIVATE.match(part) for part in alias.name.split(".")):
                    yield node.lineno, f"import of {alias.name}"
        elif isinstance(node, ast.Attribute) and PRIVATE.match(node.attr):
            holder = node.value.id if isinstance(node.value, ast.Name) else ""
            if holder not in sys.stdlib_module_names and (node.attr not in own or holder in modules):
                yield node.lineno, f"attribute {node.attr}"
        elif isinstance(node, ast.Attribute) and node.attr == "ops" and ast.unparse(node.value) == "torch":
            yield node.lineno, "torch.ops"
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg and PRIVATE.match(keyword.arg) and keyword.arg not in own:
                    yield node.lineno, f"argument {keyword.arg}"
            if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr", "hasattr"):
                for argument in node.args[1:2]:
                    text = argument.value if isinstance(argument, ast.Constant) else None
                    if isinstance(text, str) and PRIVATE.match(text) and text not in own:
                        yield node.lineno, f"attribute {text}"
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and PRIVATE.match(key.value):
                    yield node.lineno, f"argument {key.value}"


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_private_names_of_libraries_are_in_compat_modules_alone() -> None:
    places = []
    for folder in ("raytrain", "search_spaces", "jobs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if path.name != "compat.py":
                places += [f"{name}:{line}: {what}" for line, what in private_names(path.read_text(encoding="utf-8"))]
    assert not places, "move to a compat.py of the package, with a test that fails on an upgrade:\n" + "\n".join(places)


@pytest.mark.parametrize(
    "line",
    [
        "from ray._private import worker",
        "import ray.train.v2._internal.constants",
        "from optuna.storages.journal import _file",
        "import ray\nray._private.worker",
        "study._storage",
        "class A(B):\n    def f(self):\n        return self._ot_trials",
        "getattr(error, '_base_exc', error)",
        "ray.init(_temp_dir='x')",
        "ray.init(**{'_temp_dir': 'x'})",
        "import torch\ntorch.ops.mkldnn.linear(1)",
        "import torch\n_C = 1\ntorch._C.x",
    ],
)
def test_a_private_name_is_recognised(line: str) -> None:
    assert list(private_names(line))


@pytest.mark.parametrize(
    "line",
    [
        "from __future__ import annotations",
        "from raytrain.sweeps.ownership import _actors",
        "class A:\n    def __init__(self):\n        self._x = 1\n    def f(self):\n        return self._x",
        "import os\nos._exit(75)",
        "from raytrain.cluster import compat\ncompat.raised_by_worker(error)",
        "t.__class__.__name__",
        "setting._replace(mode='off')",
        "def _f():\n    pass\nx = _f()",
    ],
)
def test_names_of_our_own_and_public_ones_pass(line: str) -> None:
    assert not list(private_names(line))
