"""The settings of VSRN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import TripletPart


class VSRNConfig(TripletPart):
    """Visual semantic reasoning over the graph of regions (Li et al., ICCV 2019)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "VSRN",
        "Graph convolutions relate an image's regions, a GRU reads them into one vector; one vector per caption; "
        "optionally a captioning loss.",
        "Li et al., ICCV 2019",
    )
    implementation: ClassVar[str] = "raytrain.methods.vsrn:VSRN"
    kind: Literal["vsrn"] = "vsrn"
    blocks: int = Field(4, ge=0, le=8, description="graph convolutions over the regions")
    graph_norm: Literal["features", "regions"] = Field(
        "features",
        description="unit length before and after the graph: of each region's features, or, as in the released code, "
        "of each feature over the image's regions",
    )
    caption_weight: float = Field(
        0.0, ge=0, description="of the captioning loss, published 1; it needs captions as words (encoder.text bigru)"
    )
    caption_dim: int = Field(512, ge=1, description="hidden size of the captioning GRUs")
    caption_dropout: float = Field(0.2, ge=0, lt=1, description="of the captioning GRUs' inputs")
