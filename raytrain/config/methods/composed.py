"""The settings of a composition under one loss: the baselines of composed retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class CompositionPart(MethodPart):
    """How a reference and a modification text become one query, and what ranks its target first."""

    batch_ways: ClassVar[tuple[str, ...]] = ("query",)
    composition: Literal["fusion", "combiner", "tirg", "sum", "image", "text"] = Field(
        "fusion", description="reference and text -> query; image and text leave the other out"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="of fusion and combiner")
    residual: bool = Field(True, description="fusion: add reference and text, so that training begins near their sum")
    base_loss: Literal["info_nce", "multi_grained"] = Field(
        "info_nce", description="multi_grained: MGUR's, blurred targets first and exact ones later"
    )
    scale: float = Field(1 / 0.07, gt=0, description="1 / tau: what cosines are multiplied with")
    scale_learned: bool = Field(False, description="learn the scale, from there and up to 100")
    symmetric: bool = Field(False, description="info_nce in both directions; else query -> target alone")
    norm: float = Field(4.0, gt=0, description="multi_grained compares features of this norm and has no scale")
    known_positives: Literal["masked", "negative"] = Field(
        "masked", description="targets of a query that stand in the batch beside its own: no negatives, or (published)"
    )


class ComposedConfig(CompositionPart):
    """A composition under one loss: element-wise sum, CLIP4Cir's Combiner, TIRG; any of them under MGUR's loss."""

    label: ClassVar[MethodLabel] = MethodLabel("Composed", "Reference and text become one query.")
    variant_field: ClassVar[str | None] = "composition"
    variants: ClassVar[Mapping[str, MethodLabel]] = {
        "combiner": MethodLabel(
            "Combiner",
            "Reference and text through CLIP4Cir's Combiner.",
            "Baldrati et al., CVPRW 2022",
        ),
        "fusion": MethodLabel("Fusion", "Reference and text through two layers, added to their sum."),
        "image": MethodLabel("Image only", "The reference alone."),
        "sum": MethodLabel("Sum", "Reference and text added up."),
        "text": MethodLabel("Text only", "The modification text alone."),
        "tirg": MethodLabel(
            "TIRG",
            "The reference gated by the text, plus a residual.",
            "Vo et al., CVPR 2019",
        ),
    }
    implementation: ClassVar[str] = "raytrain.methods.composed:Composed"
    kind: Literal["composed"] = "composed"
