"""Shared heads: they are no recipe, and two tasks train the same ones."""

from __future__ import annotations

from raytrain.recipes import RECIPES
from raytrain.recipes.heads import mlp_heads


def test_both_tasks_have_the_same_heads_but_for_dropout() -> None:
    assert RECIPES["single_vector_flickr8k"]().encoder == mlp_heads(image_dropout=0.46, text_dropout=0.2)
    assert RECIPES["rau_products"]().encoder == mlp_heads(image_dropout=0.2, text_dropout=0.2)
    assert "mlp_heads" not in RECIPES
