"""The settings of SGRAF."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import LocalPairsPart


class SGRAFConfig(LocalPairsPart):
    """Similarity graph reasoning or attention filtration over alignments (Diao et al., AAAI 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "SGRAF",
        "Alignments of words and regions, reasoned over as a graph or filtered.",
        "Diao et al., AAAI 2021",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.sgraf:SGRAF"
    kind: Literal["sgraf"] = "sgraf"
    module: Literal["sgr", "saf"] = Field("sgr", description="published SGRAF: the mean score of one run of each")
    sim_dim: int = Field(256, ge=1, description="S, size of an alignment")
    steps: int = Field(3, ge=1, le=8, description="of graph reasoning (sgr)")
    attention_scale: float = Field(9.0, gt=0, description="lambda of the words' softmax over regions")
    dropout: float = Field(0.4, ge=0, lt=1, description="of word embeddings and of the global vectors' attention")
    region_norm: Literal["feature", "none"] = Field(
        "feature", description="batch norm in the images' global vector: of each feature over all regions, or none"
    )
