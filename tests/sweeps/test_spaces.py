"""Where search spaces come from: a repository's folder, a wheel's package, a file of one's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.sweeps.spaces import SPACES, own_package, space_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_repository_has_them_beside_raytrain_under_the_wheels_name() -> None:
    package = own_package()
    assert package.__name__ == "raytrain.search_spaces"
    assert list(package.__path__) == [str(ROOT / "search_spaces")]
    assert SPACES["image_text"].__module__ == "raytrain.search_spaces.image_text"


def test_a_wheel_has_them_inside_raytrain_whatever_folder_of_that_name_is_on_the_path(tmp_path: Path) -> None:
    """The layout that pip installs, copied; a user's own folder `search_spaces` comes first on the path."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "raytrain", tmp_path / "site" / "raytrain", ignore=ignored)
    shutil.copytree(ROOT / "search_spaces", tmp_path / "site" / "raytrain" / "search_spaces", ignore=ignored)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "__init__.py").write_text("raise ImportError('the wrong folder')")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(tmp_path / 'site')!r}]; "
        "from raytrain.sweeps.spaces import SPACES; print(SPACES['image_text'].__code__.co_filename, 'dvse' in SPACES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == [str(tmp_path / "site" / "raytrain" / "search_spaces" / "image_text.py"), "True"]


def test_a_file_of_ones_own_is_a_space(tmp_path: Path) -> None:
    file = tmp_path / "narrow.py"
    file.write_text("def narrow(trial):\n    return {'method.views': 4}\n")
    name, space = space_of(str(file))
    assert name == "narrow" and space(None) == {"method.views": 4}  # type: ignore[arg-type]
    assert "narrow" not in SPACES


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "no such file; a search space is a name of `raytrain spaces`, or a Python file"),
        ("def other(trial): ...", r"has no function narrow\(trial\): a file is named after its function"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_file_without_its_function_is_a_wrong_command(tmp_path: Path, code: str | None, message: str) -> None:
    file = tmp_path / "narrow.py"
    if code:
        file.write_text(code)
    with pytest.raises(UsageError, match=message):
        space_of(str(file))


def test_a_wrong_name_is_a_wrong_command_that_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'dvse'"):
        space_of("dvze")
