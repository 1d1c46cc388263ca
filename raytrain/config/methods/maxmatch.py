"""The settings of MaxMatch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.dive import SetsPart


class MaxMatchConfig(SetsPart):
    """Sets of K embeddings on both sides, matched one to one (Alomari et al., ACL 2025); the reading maxmatch-r1."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "MaxMatch",
        "DivE's sets, compared by their best one-to-one assignment; two losses keep elements apart from each "
        "other and from the global feature.",
        "Alomari et al., ACL 2025; our reading of a published summary",
    )
    implementation: ClassVar[str] = "raytrain.methods.maxmatch:MaxMatch"
    kind: Literal["maxmatch"] = "maxmatch"
    similarity: Literal["assignment", "smooth_chamfer", "chamfer", "max"] = "assignment"
    pair_score: Literal["mean", "exponential"] = Field(
        "mean", description="of assigned cosines; exponential: (1/alpha) log mean exp(alpha C)"
    )
    search_by: Literal["assignment", "top_pairs"] = Field(
        "assignment", description="at test: the assignment, or the K closest of all K x K pairs"
    )
    global_weight: float = Field(0.01, ge=0, description="of elements that are close to the global feature")
    global_margin: float = Field(0.5, ge=-1, le=1, description="d2, cosine from which that costs")
    intra_weight: float = Field(0.01, ge=0, description="of elements of a set that are close to each other")
    intra_margin: float = Field(0.5, ge=-1, le=1, description="d3, cosine from which that costs")
    loss: Literal["triplet", "infonce", "both"] = Field(
        "both", description="of pairs; InfoNCE beside the triplet loss steadies the start"
    )
    infonce_weight: float = Field(0.01, ge=0, description="of InfoNCE beside the triplet loss")
    temperature: float = Field(0.07, gt=0, description="of InfoNCE; where it is learned, at the start")
    temperature_learned: bool = Field(False, description="learn its logarithm, without weight decay")
