"""The settings of the method. raytrain reads them without importing torch, so the nn.Module is named as text."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config import MethodLabel, MethodPart


class TwoTowersConfig(MethodPart):
    """One vector per image and per caption, a linear map plus an MLP each; InfoNCE in both directions."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "Two towers",
        "One vector per image and per caption; a linear map plus an MLP on both sides; InfoNCE in both directions.",
        "raytrain's example of a method in a package of its own",
    )
    implementation: ClassVar[str] = "raytrain_two_towers.method:TwoTowers"
    kind: Literal["two_towers"] = "two_towers"
    hidden: int = Field(512, ge=1, description="width of the MLPs")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside the MLPs")
    scale: float = Field(1 / 0.07, gt=0, description="1 / tau: what cosines are multiplied with")
    scale_learned: bool = Field(True, description="learn the scale, from there and up to 100")
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one"
    )
