"""The settings of IMRAM."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import LocalPairsPart


class IMRAMConfig(LocalPairsPart):
    """Iterative matching with recurrent attention memory (Chen et al., CVPR 2020)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "IMRAM",
        "Words and regions attend to one another several times; a gate refines what attends after each time.",
        "Chen et al., CVPR 2020",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.imram:IMRAM"
    kind: Literal["imram"] = "imram"
    direction: Literal["t2i", "i2t", "both"] = Field(
        "t2i", description="words attend to regions, regions to words, or both, whose scores are added"
    )
    steps: int = Field(3, ge=1, le=6, description="of attention; their scores are added")
    attention_scale: float = Field(9.0, gt=0, description="lambda of the softmax; published 9, COCO 11")
    refined_norm: bool = Field(False, description="L2-normalise what attends after each refinement; published false")
