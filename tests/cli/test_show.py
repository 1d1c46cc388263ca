from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.config import flatten, from_yaml, override
from raytrain.config.methods import METHOD_CONFIGS
from raytrain.data.build import SOURCES
from raytrain.recipes import RECIPES
from search_spaces import SPACES


def origins(line: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["show", *line.split(), "--json"]) == 0
    printed: dict[str, dict[str, str]] = json.loads(capsys.readouterr().out)
    assert printed["origins"].keys() == printed["values"].keys()
    return printed["origins"]


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_what_is_shown_is_the_run_and_can_be_trained(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", recipe, "storage=/x/runs #1", "name=001", "experiment=no"]) == 0
    path = tmp_path / "run.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    changes = {"storage": "/x/runs #1", "name": "001", "experiment": "no"}
    assert from_yaml(path) == override(RECIPES[recipe](), changes)


def test_comments_say_where_values_come_from_and_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "dvse_flickr8k_grid", "method.views=8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    comments = {line.partition("#")[0].strip(): line.partition("# ")[2] for line in lines if "#" in line}
    assert comments == {
        "experiment: flickr8k": "recipe", "table: tables/flickr8k": "recipe", "dim: 256": "recipe",
        "kind: dvse": "recipe", "views: 8": "override", "num_epochs: 4": "recipe", "decay_epochs: [2]": "recipe",
    }  # fmt: skip
    assert len({line.index("#") for line in lines if "#" in line}) == 1
    assert "  margin: 0.2" in lines


def test_an_override_to_the_default_is_an_override_and_a_new_kind_starts_from_its_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = origins("vse_infinity_flickr8k_bigru encoder.dim=1024 method.kind=dive", capsys)
    assert result["encoder.dim"] == result["method.kind"] == "override"
    assert result["method.views"] == result["method.margin"] == result["encoder.image.kind"] == "default"
    assert result["encoder.text.kind"] == result["encoder.text.dropout"] == result["data.table"] == "recipe"
    assert result["encoder.text.word_dim"] == result["optim.clip_norm"] == "default"


def test_a_yaml_file_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {table: t}\nmethod: {kind: dvse, views: 2}\n", encoding="utf-8")
    result = origins(str(path), capsys)
    assert [name for name, origin in result.items() if origin == "recipe"] == [
        "data.table",
        "method.kind",
        "method.views",
    ]


def test_values_are_those_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "dive_emoji", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["recipe"] == "dive_emoji"
    assert printed["values"] == flatten(RECIPES["dive_emoji"]())


@pytest.mark.parametrize(
    ("verb", "names"),
    [("recipes", RECIPES), ("spaces", SPACES), ("sources", SOURCES)],
    ids=lambda value: str(value)[:8],
)
def test_lists_name_everything_on_a_line_of_its_own(
    verb: str, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(names)
    assert main([verb, "--json"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)[verb]
    assert [re.sub(r"  +", "  ", line) for line in lines] == [f"{row['name']}  {row['summary']}" for row in rows]


def test_methods_are_listed_with_their_variants_and_papers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^dive +DivE +K elements per image .* \(Kim et al\., CVPR 2023\)$", text, re.M)
    assert re.search(r"^composed/sum +Sum +Reference and text added up\.$", text, re.M)
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["methods"]
    assert {row["name"].partition("/")[0] for row in rows} == set(METHOD_CONFIGS)
    assert {tuple(row) for row in rows} == {("name", "title", "summary", "paper")}
