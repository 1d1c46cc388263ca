"""The settings of VSE++."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class VSEPPConfig(MethodPart):
    """One vector per image and per caption, hardest-negative triplet loss (VSE++, Faghri et al., BMVC 2018)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "VSE++",
        "One vector per image and per caption; one linear layer over the image's feature; triplet loss on the "
        "hardest negative.",
        "Faghri et al., BMVC 2018",
    )
    implementation: ClassVar[str] = "raytrain.methods.vsepp:VSEPP"
    kind: Literal["vsepp"] = "vsepp"
    margin: float = Field(0.2, ge=0)
    mining: Literal["hardest", "sum"] = Field("hardest", description="sum: over all negatives, the paper's VSE0")
    mean_warmup_epochs: float = Field(
        0, ge=0, description="epochs on the sum over all negatives before the hardest; published 0"
    )
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one (official code)"
    )
    image: Literal["mean", "global"] = Field(
        "mean", description="what is projected: the mean of the regions, or the feature of the whole image"
    )
    gru: Literal["forward", "both"] = Field(
        "forward", description="words: last state of one direction (published), or the mean of both directions' last"
    )
    order: bool = Field(False, description="order embeddings: absolute values, scored by how far the order is violated")
