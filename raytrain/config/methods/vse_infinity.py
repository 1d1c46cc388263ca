"""The settings of VSE-infinity."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.contrastive import ContrastivePart


class VSEInfinityConfig(ContrastivePart):
    """Generalised pooling with a hardest-negative triplet loss (Chen et al., CVPR 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "VSE-infinity",
        "One vector per image and per caption; learned weights pool regions and words; triplet loss on the "
        "hardest negative.",
        "Chen et al., CVPR 2021",
    )
    implementation: ClassVar[str] = "raytrain.methods.vse_infinity:VSEInfinity"
    kind: Literal["vse_infinity"] = "vse_infinity"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(1, ge=0, description="epochs on the sum over all negatives before the hardest")
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one (official code)"
    )
