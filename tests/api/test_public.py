"""Public names and their signatures are those of public.txt: a rename or a removal fails here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import raytrain
from tests.api.public import public

RECORDED = Path(__file__).with_name("public.txt")
ROOT = Path(__file__).resolve().parents[2]


def test_public_names_and_signatures_are_the_recorded_ones() -> None:
    recorded, now = RECORDED.read_text(encoding="utf-8").splitlines(), public()
    gone = [line for line in recorded if line not in now]
    new = [line for line in now if line not in recorded]
    rule = "docs/reference/public.md says how a public name is changed; record it in tests/api/public.txt"
    assert (gone, new) == ([], []), rule


def test_a_renamed_function_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*given: object) -> None: ...

    monkeypatch.setattr("raytrain.similarity.functions.smooth_chamfer", fit)
    monkeypatch.setattr("raytrain.similarity.smooth_chamfer", fit)
    before = [line for line in RECORDED.read_text(encoding="utf-8").splitlines() if "smooth_chamfer(" in line]
    assert before and before[0] not in public()
    monkeypatch.setattr("raytrain.__all__", [name for name in raytrain.__all__ if name != "train"])
    assert not any(line.startswith("raytrain.train(") for line in public())


def test_every_public_name_is_on_the_page_of_the_interface() -> None:
    pages = "".join((ROOT / "docs" / "reference" / name).read_text() for name in ("api.md", "blocks.md"))
    missing = [name for name in raytrain.__all__ if f"::: raytrain.{name}\n" not in pages and name != "__version__"]
    assert not missing


def test_a_type_checker_sees_the_names_that_are_looked_up() -> None:
    tree = ast.parse((ROOT / "raytrain" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    seen = {name.name: node.module for node in imports for name in node.names if node.module != "__future__"}
    assert seen == raytrain._HOME_OF  # type: ignore[attr-defined]
    assert {*seen, "__version__"} == {*raytrain.__all__}


def test_asking_for_a_function_imports_neither_torch_nor_ray() -> None:
    code = (
        "import raytrain, sys; dir(raytrain); raytrain.train, raytrain.sweep, raytrain.leaderboard, raytrain.study\n"
        "print([m for m in ('torch', 'ray', 'mlflow', 'optuna', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        raytrain.trian  # type: ignore[attr-defined]  # noqa: B018
