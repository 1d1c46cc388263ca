"""The settings of MV-VSE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class MVVSEConfig(MethodPart):
    """K views of an image against one text vector, trained between two bounds (Li et al., IJCAI 2022)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "MV-VSE",
        "K views per image against one vector per caption; every view's positive must beat the best negative "
        "of all views, and the best positive each view's own.",
        "Li et al., IJCAI 2022",
    )
    implementation: ClassVar[str] = "raytrain.methods.mv_vse:MVVSE"
    kind: Literal["mv_vse"] = "mv_vse"
    views: int = Field(4, ge=1, le=64, description="K")
    view_layer: Literal["linear", "mlp"] = Field("linear", description="of regions; mlp: DVSE's, a shared linear base")
    region_pooling: Literal["max", "encoder"] = Field("max", description="of regions; encoder: as encoder.pooling says")
    upper_weight: float = Field(0.5, ge=0, le=1, description="w of the upper bound; the lower bound has 1 - w")
    bounds: Literal["hinge", "smooth"] = Field("hinge", description="smooth: logsumexp over negatives, and softplus")
    smooth_tau: float = Field(0.05, gt=0, description="temperature of smooth, in units of a cosine")
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(
        0, ge=0, description="epochs on hinges averaged over all negatives first; published 0"
    )
    same_image: Literal["masked", "negative"] = "masked"
