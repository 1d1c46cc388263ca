"""The settings of methods whose only loss is the triplet loss of their scores on pairs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from raytrain.config.methods.base import MethodPart


class TripletPart(MethodPart):
    """Margin, warm-up and negatives of the triplet loss."""

    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(0, ge=0, description="epochs on the sum over all negatives; published 0")
    same_image: Literal["masked", "negative"] = "masked"


class LocalPairsPart(TripletPart):
    """What methods that compare local features pair by pair have besides."""

    memory_mib: int = Field(
        256,
        ge=1,
        description="about how many MiB of pairs are compared at once; the others are recomputed in backward",
    )
