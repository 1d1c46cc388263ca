"""What .ci/check_dist.py accepts and refuses, on wheels and sdists made here."""

from __future__ import annotations

import importlib.util
import io
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

import pytest

import raytrain

ROOT = Path(__file__).resolve().parent.parent
INFO = f"raytrain-{raytrain.__version__}.dist-info"


@pytest.fixture(scope="module")
def check_dist() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_dist", ROOT / ".ci" / "check_dist.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def metadata() -> str:
    """METADATA as setuptools writes it from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        "Metadata-Version: 2.4", "Name: raytrain", f"Version: {raytrain.__version__}",
        f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}",
        f"License-Expression: {project['license']}", "Description-Content-Type: text/markdown",
        *(f"Provides-Extra: {extra}" for extra in project["optional-dependencies"]), "Requires-Dist: torch==2.13.0",
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n"


def wheel(path: Path, names: Collection[str], metadata: str, top: str = "raytrain") -> Path:
    own = {f"{INFO}/METADATA": metadata, f"{INFO}/top_level.txt": top, f"{INFO}/licenses/LICENSE": ""}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**dict.fromkeys(names, ""), **own}.items():
            archive.writestr(name, content)
    return path


def test_the_product_is_modules_templates_recipes_and_spaces(check_dist: ModuleType) -> None:
    assert check_dist.expected_files() >= {
        "raytrain/py.typed",
        "raytrain/recipes/emoji.py",
        "raytrain/review/templates/contact_sheets/sheets.css",
        "raytrain/retrieval/templates/space_app.py.j2",
        "raytrain/search_spaces/dvse.py",
    }


def test_a_whole_wheel_has_no_problem(check_dist: ModuleType, metadata: str, tmp_path: Path) -> None:
    assert check_dist.problems_of_wheel(wheel(tmp_path / "w.whl", check_dist.expected_files(), metadata)) == []


def test_what_a_wheel_lacks_or_has_too_much_is_named(check_dist: ModuleType, metadata: str, tmp_path: Path) -> None:
    names = (check_dist.expected_files() - {"raytrain/py.typed"}) | {"tests/test_house.py", "search_spaces/dvse.py"}
    problems = check_dist.problems_of_wheel(
        wheel(tmp_path / "w.whl", names, metadata.replace(raytrain.__version__, "9.9"), "raytrain\nsearch_spaces")
    )
    assert problems == [
        "w.whl lacks raytrain/py.typed",
        "w.whl holds search_spaces/dvse.py, which is no part of the product",
        "w.whl holds tests/test_house.py, which is no part of the product",
        "w.whl takes the import names raytrain, search_spaces, and not raytrain alone",
        f"w.whl: Version is 9.9, and not {raytrain.__version__}",
    ]


def test_an_sdist_holds_what_a_wheel_is_built_from_and_no_tests(check_dist: ModuleType, tmp_path: Path) -> None:
    sources = {name.replace("raytrain/search_spaces", "search_spaces") for name in check_dist.expected_files()}
    names = {*sources, "pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt", "results/run/x.json"}
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as archive:
        for name in names - {"search_spaces/rau.py"}:
            archive.addfile(tarfile.TarInfo(f"raytrain-1/{name}"), io.BytesIO())
    assert check_dist.problems_of_sdist(tmp_path / "s.tar.gz") == [
        "s.tar.gz lacks search_spaces/rau.py",
        "s.tar.gz holds results/run/x.json, which is no part of the product",
    ]


def test_every_file_that_is_no_module_is_package_data() -> None:
    """The globs of pyproject.toml take in each template: a new folder of them would be left out of the wheel."""
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    taken = {path for pattern in globs["raytrain"] for path in (ROOT / "raytrain").glob(pattern)}
    files = {path for path in (ROOT / "raytrain").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} <= taken
    folders = {path.parent for path in files if path.suffix == ".py"}
    assert all((folder / "__init__.py").exists() for folder in folders)


def test_extras_that_errors_name_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "raytrain").rglob("*.py"))
    named = set(re.findall(r"pip_install\(['\"](\w+)['\"]\)", sources))
    assert {"ray", "mlflow", "export", "encode"} <= named <= set(project["optional-dependencies"])
    assert "pip install '.[" not in sources and 'pip install ".[' not in sources
