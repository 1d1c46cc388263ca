"""Recipes for GPUs with bfloat16 differ from those of their names in nothing else."""

from __future__ import annotations

import pytest

from raytrain.recipes import RECIPES
from tests.recipes.settings import differences

NAMES = [name for name in RECIPES if name.endswith("_bf16")]


@pytest.mark.parametrize("name", NAMES)
def test_the_precision_alone_differs(name: str) -> None:
    assert differences(name, name.removesuffix("_bf16")) == {"optim.precision": "bf16"}


def test_the_methods_of_the_mission_have_one_on_both_data_sets() -> None:
    assert {f"{method}_{table}_bf16" for method in ("dvse", "dive") for table in ("flickr30k", "coco")} <= set(NAMES)
    assert RECIPES["rau_cirr"]().optim.precision == RECIPES["rau_fashion_iq"]().optim.precision == "bf16"
