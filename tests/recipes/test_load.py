from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.config import to_yaml
from raytrain.errors import UsageError
from raytrain.recipes import RECIPES
from raytrain.recipes.load import load_recipe


def test_a_name_or_a_file_gives_the_same_run(tmp_path: Path) -> None:
    run = load_recipe("dvse_emoji")
    assert run == RECIPES["dvse_emoji"]()
    for name in ("run.yaml", "run.yml"):
        (tmp_path / name).write_text(to_yaml(run), encoding="utf-8")
        assert load_recipe(str(tmp_path / name)) == run


def test_a_wrong_name_shows_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no recipe 'dvs_emoji'; did you mean 'dvse_emoji'\? Recipes: asymvlm_flickr8k, "
    ):
        load_recipe("dvs_emoji")
    with pytest.raises(UsageError, match=r"no recipe 'run\.json'.* Or give a YAML file\."):
        load_recipe("run.json")
    with pytest.raises(UsageError, match=r"nowhere\.yaml cannot be read"):
        load_recipe(str(tmp_path / "nowhere.yaml"))
