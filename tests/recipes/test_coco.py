"""COCO's recipes are those of Flickr30K on another table, with the schedules published for COCO."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recipes.settings import differences

COCO: dict[str, Any] = {"experiment": "coco", "data.table": "tables/coco"}


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("vse_infinity_{}", {}),
        ("dvse_{}", {}),
        ("dive_{}", {"optim.batch_size": 200}),  # images, the released script
        ("vsepp_{}", {}),
        ("pvse_{}", {}),
        ("pcme_{}", {}),
        ("pcmepp_{}", {}),
        ("scan_{}", {"optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10]}),
        ("scan_{}_i2t", {"optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10],
                         "method.pooling_scale": 20.0}),
        ("sgraf_{}", {"optim.num_epochs": 20, "optim.decay_epochs": [10]}),
        ("sgraf_{}_saf", {"optim.num_epochs": 20, "optim.decay_epochs": [10]}),
        ("vsrn_{}", {"optim.decay_epochs": [15]}),
        ("caan_{}", {"optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10]}),
        ("imram_{}", {"optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10],
                      "method.attention_scale": 11.0}),
        ("imram_{}_i2t", {"optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10],
                          "method.attention_scale": 11.0}),
        ("naaf_{}", {"optim.batch_size": 256}),
    ],
)  # fmt: skip
def test_a_recipe_differs_from_that_of_flickr30k_by_what_was_published_for_coco(
    recipe: str, changes: dict[str, Any]
) -> None:
    assert differences(recipe.format("coco"), recipe.format("flickr30k")) == COCO | changes
