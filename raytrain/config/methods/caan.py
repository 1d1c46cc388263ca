"""The settings of CAAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import LocalPairsPart


class CAANConfig(LocalPairsPart):
    """Context-aware attention over words and regions (Zhang et al., CVPR 2020), in the reading caan-r1."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "CAAN",
        "Words and regions are weighted by what they respond to in the other modality and in their own (reading "
        "caan-r1).",
        "Zhang et al., CVPR 2020",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.caan:CAAN"
    kind: Literal["caan"] = "caan"
    attention_scale: float = Field(9.0, gt=0, description="lambda of the affinity's two softmaxes")
    hidden_dim: int = Field(256, ge=1, description="H, size of the layer that weighs words and regions")
    context: Literal["both", "cross", "intra"] = Field(
        "both", description="what weighs a member beside itself: the other modality, its own, or both"
    )
