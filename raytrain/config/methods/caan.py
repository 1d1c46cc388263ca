"""The settings of CAAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class CAANConfig(MethodPart):
    """Context-aware attention over words and regions (Zhang et al., CVPR 2020), in the reading caan-r1."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "CAAN",
        "Words and regions are weighted by what they respond to in the other modality and in their own (reading "
        "caan-r1).",
        "Zhang et al., CVPR 2020",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.caan:CAAN"
    kind: Literal["caan"] = "caan"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(0, ge=0, description="epochs on the sum over all negatives")
    same_image: Literal["masked", "negative"] = "masked"
    attention_scale: float = Field(9.0, gt=0, description="lambda of the affinity's two softmaxes")
    hidden_dim: int = Field(256, ge=1, description="H, size of the layer that weighs words and regions")
    context: Literal["both", "cross", "intra"] = Field(
        "both", description="what weighs a member beside itself: the other modality, its own, or both"
    )
    memory_mib: int = Field(
        256,
        ge=1,
        description="about how many MiB of pairs are compared at once; the others are recomputed in backward",
    )
