"""The studies of re-ranking train nothing but the recipe."""

from __future__ import annotations

from raytrain.recipes import RECIPES
from raytrain.studies.papers.rerank import SCALES, directions, queries, temperature
from tests.studies.papers.definitions import check_studies


def test_every_study_of_the_paper_can_be_planned() -> None:
    assert check_studies("rerank", {"": RECIPES["dvse_flickr8k_grid"]()}) == {
        "rerank/directions": 5, "rerank/queries": 8, "rerank/temperature": 12,
    }  # fmt: skip


def test_no_variant_changes_the_recipe_and_the_published_scales_are_among_them() -> None:
    recipe = RECIPES["dvse_flickr8k_grid"]()
    for study in (directions(), queries(), temperature()):
        assert not any(variant.changes for variant in study.variants(recipe))
    assert {20, 170} <= {*SCALES}
