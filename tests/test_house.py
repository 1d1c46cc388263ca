"""Rules of the house that a linter cannot see."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*.md")])


def test_importing_raytrain_imports_nothing_heavy() -> None:
    code = "import raytrain, sys; print([m for m in ('torch', 'ray', 'mlflow', 'optuna', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_core_trains_where_no_extra_is_installed(tmp_path: Path) -> None:
    """Ray, Optuna, MLflow, transformers and PIL are made unimportable; the rest is what a bare install has."""
    code = f"""
import sys
for name in ("ray", "optuna", "mlflow", "transformers", "PIL", "matplotlib"):
    sys.modules[name] = None
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.tables import make_table
from raytrain.cli.main import main
table = make_table(Path({str(tmp_path)!r}) / "table")
run = ["name=core", "encoder.dim=8", "optim.batch_size=20", "optim.num_epochs=1", f"data.table={{table.path}}"]
assert main(["train", "dvse_emoji", *run, "storage={tmp_path}"]) == 0
assert main(["evaluate", "{tmp_path}/emoji/core"]) == 0
assert main(["leaderboard", "--storage", "{tmp_path}"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "leaderboard.html").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_constraints_name_versions_and_no_places() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert "torch==2.13.0" in lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+", line) for line in lines if line)


def test_no_source_loads_what_could_run_code() -> None:
    unsafe = re.compile(r"allow_pickle=True|weights_only=False|\bpickle\.loads?\(|trust_remote_code=True|\beval\(")
    sources = [*ROOT.glob("raytrain/**/*.py"), *ROOT.glob("jobs/*.py"), *ROOT.glob("search_spaces/*.py")]
    result = [str(path) for path in sources if unsafe.search(path.read_text(encoding="utf-8").replace(".eval()", ""))]
    assert not result


def test_no_config_is_changed_without_being_validated() -> None:
    """Pydantic's model_copy(update=...) takes any name and any type in silence; `override` refuses both."""
    folders = ("raytrain", "search_spaces", "benchmarks", "jobs", "examples", "tests")
    unchecked = re.compile(r"model_copy\(\s*update|model_construct\(")
    sources = [path for folder in folders for path in (ROOT / folder).glob("**/*.py") if path != Path(__file__)]
    offenders = [str(path) for path in sources if unchecked.search(path.read_text(encoding="utf-8"))]
    assert len(sources) > 300 and not offenders


def modules_of(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if path.name not in ("__init__.py", "__main__.py")]


def test_no_name_of_a_package_hides_one_of_its_modules() -> None:
    """`import raytrain.losses.triplet` gives the module, whatever its package re-exports."""
    for path in [*modules_of("raytrain"), *modules_of("search_spaces")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        package, _, leaf = name.rpartition(".")
        init = ast.parse((path.parent / "__init__.py").read_text(encoding="utf-8"))
        bound = {
            alias.asname or alias.name
            for node in init.body
            if isinstance(node, ast.ImportFrom) and node.module != package
            for alias in node.names
        }
        assert leaf not in bound, f"{package} re-exports a {leaf} that hides the module {name}"


def test_every_file_of_behaviour_has_a_test_file_of_its_name() -> None:
    """raytrain/a/b.py is tested by tests/a/test_b.py."""
    missing = set()
    for path in modules_of("raytrain"):
        place = path.relative_to(ROOT / "raytrain")
        settings_alone = place.parts[:2] == ("config", "methods")  # tests/config/methods/test_registry.py goes over all
        if not settings_alone and not (ROOT / "tests" / place.parent / f"test_{place.name}").exists():
            missing.add(str(place))
    assert not missing
