"""A project of one's own: what is written, that it is ready, and that nothing is overwritten."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from raytrain.cli.init import FILES
from raytrain.cli.main import main
from raytrain.config import override
from raytrain.data.table import Table
from raytrain.recipes.load import load_recipe
from raytrain.sweeps.spaces import space_of
from tests.command_lines import parse
from tests.data.pictures import write_image


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "My flowers")]) == 0
    return tmp_path / "My flowers"


def test_the_recipe_is_a_run_of_the_projects_name(project: Path) -> None:
    base = load_recipe(str(project / "recipe.yaml"))
    assert (base.experiment, base.data.table, base.method.kind) == ("My-flowers", "tables/My-flowers", "dvse")


def test_the_space_draws_fields_of_the_recipe(project: Path) -> None:
    pytest.importorskip("optuna", reason="the searches are Optuna's")
    from raytrain.sweeps.space import walk

    name, space = space_of(str(project / "space.py"))
    assert name == "space"
    base = load_recipe(str(project / "recipe.yaml"))
    drawn = [override(base, answers) for _, answers, _ in walk(space)]
    assert {getattr(config.method, "views", None) for config in drawn} == {1, 2, 4}


def test_every_command_of_its_readme_parses(project: Path) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", text, re.S)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("raytrain ")]
    verbs = [parse(words[1:])[0] for words in lines]
    assert {"data build", "data encode", "train", "sweep", "evaluate", "search", "submit"} <= set(verbs)
    (job,) = [words for words in lines if words[1] == "submit"]
    assert parse(job[4:])[1]["space"] == "space.py"
    assert "$" not in text


def test_the_data_of_its_readme_become_a_table_with_all_splits(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")
    (columns,) = re.findall(r"^image,.*", text, re.M)
    rows = [f"{number}.jpg,a flower {number}" for number in range(30)]
    for number in range(30):
        write_image(project / "photos" / "images" / f"{number}.jpg", number)
    (project / "photos" / "captions.csv").write_text("\n".join([columns, *rows]) + "\n")
    monkeypatch.chdir(project)
    (build,) = re.findall(r"^raytrain (data build .*)", text, re.M)
    assert main(shlex.split(build)) == 0
    splits = Table(project / load_recipe("recipe.yaml").data.table).splits
    assert all(splits[name]["items"] > 0 for name in ("train", "val", "test"))


def test_a_cluster_gets_the_recipe_and_the_space_and_no_photo(project: Path) -> None:
    pytest.importorskip("ray", reason="the list is Ray's")
    from raytrain.cluster.jobs.package import list_package

    (project / "photos" / "a.jpg").write_bytes(b"x")
    sent = list_package(project).sizes.keys()
    assert {"recipe.yaml", "space.py"} <= sent and not any(name.startswith("photos") for name in sent)


def test_a_file_that_is_there_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "README.md").write_text("mine")
    for file in set(FILES) - {"README.md"}:
        (project / file).unlink()
    assert main(["init", str(project)]) == 2
    assert f"there already: {project / 'README.md'}" in capsys.readouterr().err
    assert (project / "README.md").read_text() == "mine" and not (project / "recipe.yaml").exists()


def test_a_name_of_no_letter_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path), "--name", "..."]) == 2
    assert "give --name" in capsys.readouterr().err and not list(tmp_path.iterdir())
