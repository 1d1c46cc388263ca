"""The settings of our reading of AsymVLM: a concentration per caption over image embeddings that are points."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class AsymVLMConfig(MethodPart):
    """A small head predicts how widely a caption's right images spread around its direction on the sphere."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "AsymVLM",
        "A caption is a distribution on the sphere, an image a point; a head predicts the caption's concentration.",
        "Ju et al., 2025; our reading of a published summary",
    )
    implementation: ClassVar[str] = "raytrain.methods.asymvlm:AsymVLM"
    kind: Literal["asymvlm"] = "asymvlm"
    space: Literal["trained", "frozen"] = Field(
        "trained",
        description="the branches of VSE-infinity train with the head; or frozen features of one space, of one width",
    )
    density: Literal["power_spherical", "von_mises_fisher"] = "power_spherical"
    hidden: int = Field(128, ge=1, description="width of the head's hidden layer")
    concentration_start: float = Field(20.0, gt=0, description="of every caption at the start")
    likelihood_weight: float = Field(
        0.1, ge=0, description="of -log density of the own image / D, beside the softmax over the batch"
    )
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one"
    )
