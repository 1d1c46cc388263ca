"""The settings of half-query composition: the two halves of a query score apart, nothing is trained by gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart

PAPER = "a baseline of i-CIR, Psomas et al., 2025; the map from text to image features is ours"


class HalfQueriesConfig(MethodPart):
    """The reference's and the text's own similarities with an image, added or multiplied; frozen features throughout.

    A product of exponentially scaled halves, e^(a s) e^(b t), ranks as the sum with a text weight of b / a.
    """

    label: ClassVar[MethodLabel] = MethodLabel("Half queries", "Reference and text score apart.")
    variant_field: ClassVar[str | None] = "halves"
    variants: ClassVar[Mapping[str, MethodLabel]] = {
        "half_sum": MethodLabel("Half-query sum", "Cosines of reference and of text with the image, added.", PAPER),
        "half_product": MethodLabel(
            "Half-query product", "Cosines of reference and of text, min-max scaled and multiplied.", PAPER
        ),
    }
    implementation: ClassVar[str] = "raytrain.methods.half_queries:HalfQueries"
    batch_ways: ClassVar[tuple[str, ...]] = ("query",)
    kind: Literal["half_queries"] = "half_queries"
    halves: Literal["half_sum", "half_product"] = "half_product"
    text_weight: float = Field(1.0, gt=0, description="factor of the text's half in a sum, its power in a product")
    floor: float = Field(-1.0, ge=-1, lt=1, description="half_product: cosine that min-max scaling makes 0; 1 stays 1")
    ridge: float = Field(
        0.1, gt=0, description="regulariser of the map, in mean variances of a text feature; choose it on validation"
    )
    centered: bool = Field(True, description="subtract the mean feature of the training targets before any cosine")
