"""Which arrays a run's image features are, and which cannot be joined."""

from __future__ import annotations

from typing import Any

import pytest

from raytrain.data.load.image_features import ImageFeatures
from raytrain.data.table.description import Feature
from raytrain.errors import UsageError


def feature(name: str, regions: int = 17, width: int = 4, **encoder: Any) -> Feature:
    return Feature(
        name=name, kind="image", shape=(3, regions, width), dtype="float16", encoder=encoder, sha256="0" * 64
    )


GRID = {"layout": "grid4x4+global", "global_index": 16}
FEATURES = {
    "lite0": feature("lite0", **GRID, missing=["b", "a"]),
    "lite2": feature("lite2", width=6, **GRID, missing=["a", "c"]),
    "vit": feature("vit", layout="patches16+global", global_index=16),
    "butd": feature("butd", regions=36),
    "whole": feature("whole", regions=1),
    "elsewhere": feature("elsewhere", layout="grid4x4+global", global_index=0),
}


def of(*names: str, which: str = "all") -> ImageFeatures:
    return ImageFeatures.of(FEATURES, names, which, "tables/t")


def test_joined_arrays_are_as_wide_as_all_and_lack_what_any_lacks() -> None:
    joined = of("lite2", "lite0")
    assert (joined.names, joined.regions, joined.width, joined.global_region) == (("lite2", "lite0"), 17, 10, 16)
    assert joined.missing == ["a", "c", "b"]
    assert (of("butd").regions, of("butd").width, of("butd").global_region) == (36, 4, None)


@pytest.mark.parametrize("other", ["vit", "butd", "elsewhere"])
def test_arrays_with_other_regions_are_refused_by_the_names_of_both(other: str) -> None:
    with pytest.raises(UsageError, match=rf"'lite0' \(17 regions, .*'{other}' .*of tables/t .*data\.regions=global"):
        of("lite0", other)


def test_vectors_of_whole_images_are_joined_whatever_the_other_regions_are() -> None:
    joined = of("lite0", "elsewhere", "whole", which="global")
    assert (joined.regions, joined.width, joined.global_region) == (1, 12, 0)
    with pytest.raises(UsageError, match=r"'butd' of tables/t has no global_index"):
        of("lite0", "butd", which="global")
