"""The studies of DVSE can be planned from its recipe."""

from __future__ import annotations

from pathlib import Path

from raytrain.config import override
from raytrain.recipes import RECIPES
from raytrain.studies.papers.dvse import ancestor, backbone, batch, orthogonality
from tests.studies.papers.definitions import check_studies
from tests.tables import make_table


def test_every_study_of_the_paper_can_be_planned(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    recipe = override(RECIPES["dvse_flickr8k_grid"](), {"data.table": str(table.path)})
    assert check_studies("dvse", {"dvse": recipe}) == {
        "dvse/ancestor": 4, "dvse/backbone": 2, "dvse/batch": 10, "dvse/components": 4, "dvse/cost": 9,
        "dvse/orthogonality": 17, "dvse/uncertainty": 9, "dvse/views": 8,
    }  # fmt: skip


def test_equal_steps_are_equal_and_meet_equal_epochs_at_128() -> None:
    recipe = override(RECIPES["dvse_flickr8k_grid"](), {"optim.num_epochs": 8, "optim.decay_epochs": [4]})
    runs = {variant.name: override(recipe, variant.changes) for variant in batch().variants(recipe)}
    assert runs["batch 128, equal epochs"] == runs["batch 128, equal steps"]
    half, double = runs["batch 64, equal steps"].optim, runs["batch 512, equal steps"].optim
    assert (half.num_epochs, half.decay_epochs) == (4, (2,)) and (double.num_epochs, double.decay_epochs) == (32, (16,))


def test_without_a_weight_the_schedule_makes_no_further_runs(tmp_path: Path) -> None:
    names = [variant.name for variant in orthogonality().variants(RECIPES["dvse_flickr8k_grid"]())]
    assert names[0] == "weight 0" and sum(name.startswith("weight 0 ") for name in names) == 0


def test_further_features_of_the_table_are_further_backbones(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    recipe = override(RECIPES["dvse_flickr8k_grid"](), {"data.table": str(table.path), "data.image_features": "lite9"})
    names = [variant.name for variant in backbone().variants(recipe)]
    assert names == ["recipe's features, K = 1", "recipe's features, K = 4", "image lite0, K = 1", "image lite0, K = 4"]


def test_methods_of_one_lineage_differ_in_the_method_alone() -> None:
    recipe = override(RECIPES["dvse_flickr8k_grid"](), {"method.views": 3})
    runs = {variant.name: override(recipe, variant.changes) for variant in ancestor().variants(recipe)}
    assert all(override(run, {"method": recipe.method}) == recipe for run in runs.values())
    assert [run.method.kind for run in runs.values()] == ["vse_infinity", "mv_vse", "dvse", "dvse"]
    assert runs["MV-VSE"].method.views == 3  # type: ignore[attr-defined]
