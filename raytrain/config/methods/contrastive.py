"""The settings of InfoNCE that image-text methods share: beside their own loss, or in place of the triplet loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from raytrain.config.methods.base import MethodPart


class InfoNCEPart(MethodPart):
    """A symmetric InfoNCE over the global batch, and its temperature."""

    infonce_weight: float = Field(1.0, ge=0, description="of InfoNCE beside the method's other loss")
    temperature: float = Field(0.05, gt=0, description="of InfoNCE; where it is learned, at the start")
    temperature_learned: bool = Field(True, description="learn its logarithm, without weight decay")
    temperature_min: float = Field(0.01, gt=0, description="a learned temperature stays at least this")

    @model_validator(mode="after")
    def _starts_above_its_least(self) -> InfoNCEPart:
        if self.temperature_learned and self.temperature < self.temperature_min:
            raise ValueError(f"temperature={self.temperature} is below temperature_min={self.temperature_min}")
        return self


class ContrastivePart(InfoNCEPart):
    """The loss that compares pairs: a triplet loss, InfoNCE, or both."""

    loss: Literal["triplet", "infonce", "both"] = Field(
        "triplet",
        description="infonce: softmax over the batch's negatives, mean over queries and directions; both: the triplet "
        "loss as a mean over queries + infonce_weight * infonce",
    )
