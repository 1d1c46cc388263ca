"""The studies of DivE can be planned from its recipe, and have the published values beside them."""

from __future__ import annotations

from raytrain.config import override
from raytrain.recipes import RECIPES
from raytrain.studies.papers.dive import aggregator, elements, similarity, successor
from tests.studies.papers.definitions import check_studies


def test_every_study_of_the_paper_can_be_planned() -> None:
    assert check_studies("dive", {"dive": RECIPES["dive_flickr8k_grid"]()}) == {
        "dive/aggregator": 4, "dive/elements": 6, "dive/similarity": 4, "dive/successor": 4,
        "dive/supervision": 3, "dive/what-elements-mean": 1,
    }  # fmt: skip


def test_published_values_stand_beside_their_variants() -> None:
    assert elements().published["K = 4"] == {"rsum": 500.8}
    assert similarity().published["MIL"] == {"rsum": 491.7}
    assert aggregator().published["slots"] == {"rsum": 500.8, "diagnostics/set_log_variance": -2.13}


def test_the_successor_is_the_recipe_of_maxmatch_on_the_encoders_of_dive() -> None:
    recipe = RECIPES["dive_flickr8k_grid"]()
    runs = {variant.name: override(recipe, variant.changes) for variant in successor().variants(recipe)}
    assert runs["DivE"] == recipe and runs["MaxMatch"] == RECIPES["maxmatch_flickr8k_grid"]()
