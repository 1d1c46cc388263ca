"""The settings of PVSE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.contrastive import ContrastivePart


class PVSEConfig(ContrastivePart):
    """K embeddings on both sides by PIE-Net, the best pair counts (Song and Soleymani, CVPR 2019)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PVSE",
        "K elements per image and per caption by attention, compared by their best pair.",
        "Song and Soleymani, CVPR 2019",
    )
    implementation: ClassVar[str] = "raytrain.methods.pvse:PVSE"
    kind: Literal["pvse"] = "pvse"
    views: int = Field(2, ge=1, le=64, description="K, embeddings per image and per caption")
    margin: float = Field(0.1, ge=0)
    mining: Literal["hardest", "mean"] = Field("hardest", description="mean: over all pairs of the batch")
    mean_warmup_epochs: float = Field(
        0, ge=0, description="epochs on the mean over all pairs before the hardest; published 0"
    )
    same_image: Literal["masked", "negative"] = "masked"
    mmd_weight: float = Field(0.01, ge=0, description="of the discrepancy between image and text elements; at K > 1")
    diversity_weight: float = Field(0.1, ge=0, description="of the residuals' Gram matrices; at K > 1")
    dropout: float = Field(0.0, ge=0, lt=1)
    text_global: Literal["max", "cls"] = Field("max", description="global feature of token states")
