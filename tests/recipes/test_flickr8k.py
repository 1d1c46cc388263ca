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


@pytest.mark.parametrize("recipe", ["dvse_flickr8k"])
def test_a_method_keeps_the_encoders_the_loss_and_the_length_of_the_single_vector(recipe: str) -> None:
    searched = {"optim.lr", "optim.ema_decay", "encoder.image_dropout", "encoder.text_dropout", "data.word_drop"}
    changed = set(differences(recipe, "single_vector_flickr8k")) - searched
    assert {name.partition(".")[0] for name in changed} == {"method"}
    check(recipe, {"method.loss": "infonce", "method.temperature_learned": True, "method.views": 4})
