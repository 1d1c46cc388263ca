"""Flickr8k with two image encoders: one vector, and what methods change of its recipe."""

from __future__ import annotations

import pytest

from tests.recipes.settings import check, differences


def test_a_single_vector_has_neither_regions_nor_hard_negatives() -> None:
    expected = {
        "data.image_features": "lite0,lite2", "data.regions": "global", "encoder.dim": 512, "encoder.pooling": "mean",
        "encoder.image_head": "mlp", "encoder.text_head": "mlp", "encoder.text_pool_first": True,
        "method.loss": "infonce", "method.temperature_learned": True,
    }  # fmt: skip
    check("single_vector_flickr8k", expected)


SEARCHED = {"optim.lr", "optim.ema_decay", "encoder.image_dropout", "encoder.text_dropout", "data.word_drop"}
SETS = {
    "data.regions", "encoder.dim", "encoder.head_hidden", "encoder.text_pool_first",
    "optim.batch_size",
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "beside_the_method"),
    [
        ("dvse_flickr8k", set()),
        ("mv_vse_flickr8k", set()),
        ("pcmepp_flickr8k", set()),
        ("dive_flickr8k", SETS | SEARCHED),
        ("maxmatch_flickr8k", SETS | SEARCHED),
    ],
)
def test_a_method_keeps_the_settings_of_the_single_vector(recipe: str, beside_the_method: set[str]) -> None:
    changed = set(differences(recipe, "single_vector_flickr8k"))
    assert {name for name in changed if not name.startswith("method.")} <= beside_the_method


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("dvse_flickr8k", {"method.views": 4, "method.loss": "infonce", "method.temperature_learned": True}),
        ("mv_vse_flickr8k", {"method.views": 4, "method.bounds": "smooth", "method.margin": 0.0}),
        ("pcmepp_flickr8k", {"method.infonce_weight": 1.0, "method.temperature_learned": True}),
        ("dive_flickr8k", {"method.views": 4, "method.loss": "infonce", "data.regions": "all", "encoder.dim": 256}),
        ("maxmatch_flickr8k", {"method.loss": "infonce", "method.infonce_weight": 1.0, "method.views": 4}),
    ],
)
def test_what_a_method_adds(recipe: str, expected: dict[str, object]) -> None:
    check(recipe, expected)
