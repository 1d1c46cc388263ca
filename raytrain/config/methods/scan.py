"""The settings of SCAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import LocalPairsPart


class SCANConfig(LocalPairsPart):
    """Stacked cross attention between words and regions (Lee et al., ECCV 2018)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "SCAN",
        "Regions and words attend to one another; each pair of image and caption has a score of its own.",
        "Lee et al., ECCV 2018",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.scan:SCAN"
    kind: Literal["scan"] = "scan"
    direction: Literal["t2i", "i2t"] = Field("t2i", description="words attend to regions, or regions to words")
    attention_scale: float = Field(9.0, gt=0, description="lambda 1, of the softmax: 9 for t2i, 4 for i2t")
    pooling: Literal["log_sum_exp", "mean"] = Field("log_sum_exp", description="of words (t2i) or of regions (i2t)")
    pooling_scale: float = Field(6.0, gt=0, description="lambda 2, of log_sum_exp: 6 for t2i, 5 for i2t, COCO 20")
