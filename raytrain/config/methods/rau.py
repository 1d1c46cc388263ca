"""The settings of RAU."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.composed import CompositionPart


class RAUConfig(CompositionPart):
    """Ranking-aware uncertainty for composed retrieval (arXiv 2308.08131); the open choices are named switches.

    With the weights of the three uncertainty losses at 0 it is InfoNCE on the composition.
    """

    label: ClassVar[MethodLabel] = MethodLabel(
        "RAU",
        "Reference and text become one query; training puts Gaussians around query and target.",
        "arXiv 2308.08131; our reading of the published abstract",
    )
    implementation: ClassVar[str] = "raytrain.methods.rau:RAU"
    kind: Literal["rau"] = "rau"
    base_weight: float = Field(1.0, ge=0, description="of the loss on the deterministic features")
    blocks: int = Field(2, ge=1, le=8, description="n, uncertainty-aware blocks of each side")
    wiring: Literal["chain", "parallel"] = Field("chain", description="a block reads the one before, or the features")
    shared_blocks: bool = Field(False, description="one stack of blocks for source and target")
    isu_weight: float = Field(1.0, ge=0, description="in-sample uncertainty: InfoNCE of the samples")
    isu_sides: Literal["both", "source"] = Field("both", description="sampled targets, or deterministic ones")
    csu_weight: float = Field(1.0, ge=0, description="cross-sample uncertainty: similar targets are positives too")
    csu_form: Literal["soft", "supcon"] = Field("soft", description="-log of their summed share, or their mean -log")
    csu_mask: Literal["deterministic", "sampled"] = Field("deterministic", description="features that theta looks at")
    theta: float = Field(0.8, ge=-1, le=1, description="least cosine of a further positive, or its quantile")
    theta_mode: Literal["absolute", "quantile"] = "absolute"
    theta_warmup_epochs: float = Field(1, ge=0, description="epochs without further positives")
    dr_weight: float = Field(0.1, ge=0, description="distribution regularisation: 2-Wasserstein, source to target")
    dr_distance: Literal["wasserstein", "symmetric_kl", "bhattacharyya", "mmd"] = Field(
        "wasserstein", description="of the Gaussians of source and target"
    )
    dr_root: bool = Field(False, description="of wasserstein: the distance and not its square")
    dr_blocks: Literal["all", "last"] = Field("all", description="blocks that are regularised")
    test_features: Literal["deterministic", "mean"] = Field(
        "deterministic", description="what is searched: features as they are, or the mean of the last block"
    )

    @model_validator(mode="after")
    def _everything_learns(self) -> RAUConfig:
        if self.base_weight + self.isu_weight + self.csu_weight == 0:
            raise ValueError("one of base_weight, isu_weight and csu_weight is above 0: nothing else ranks")
        if self.test_features == "mean" and self.isu_weight == 0 and self.csu_weight == 0:
            raise ValueError("test_features=mean searches what isu or csu trains: one of their weights is above 0")
        if self.test_features == "mean" and self.csu_weight == 0 and self.isu_sides == "source":
            raise ValueError("test_features=mean needs blocks of both sides: isu_sides=both, or csu_weight above 0")
        if self.dr_root and self.dr_distance != "wasserstein":
            raise ValueError(f"dr_root is of wasserstein; dr_distance is {self.dr_distance}")
        if self.theta_mode == "quantile" and self.theta < 0:
            raise ValueError("theta_mode=quantile takes theta in [0, 1]")
        if self.isu_weight + self.csu_weight == 0 and self.wiring == "parallel" and self.dr_blocks == "last":
            raise ValueError("dr_blocks=last leaves parallel blocks without a gradient unless isu or csu trains them")
        return self
