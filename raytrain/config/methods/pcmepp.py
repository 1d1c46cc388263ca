"""The settings of PCME++."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.contrastive import InfoNCEPart


class PCMEPPConfig(InfoNCEPart):
    """Gaussians on both sides, matched by a closed-form distance (Chun, ICLR 2024)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PCME++",
        "A Gaussian per image and per caption, matched by a distance in closed form.",
        "Chun, ICLR 2024",
    )
    implementation: ClassVar[str] = "raytrain.methods.pcmepp:PCMEPP"
    kind: Literal["pcmepp"] = "pcmepp"
    match_scale: float = Field(5.0, gt=0, description="a of -a d + b at the start; it is trained")
    match_shift: float = Field(5.0, description="b of -a d + b at the start; it is trained")
    positives: Literal["image", "pair"] = Field(
        "image", description="an image matches all its captions in the batch, or the one it came with"
    )
    vib_weight: float = Field(1e-4, ge=0, description="of the divergence from a standard normal")
    pseudo_weight: float = Field(0.1, ge=0, description="of the loss with pseudo-positives")
    log_variance_start: float = Field(-8.0, ge=-40, le=5, description="log variance of every dimension at the start")
    mix: Literal["none", "mixup", "cutmix", "both"] = Field(
        "none", description="mix region features of images, and soften their labels; both: each for half of those"
    )
    mix_share: float = Field(0.25, ge=0, le=1, description="share of a batch's images that are mixed")
    variance_norm: bool = Field(True, description="layer norm of the log variance, whose gain starts at 0.01")
    infonce_weight: float = Field(
        0.0, ge=0, description="of InfoNCE on half of minus the distance, a cosine less variances; published 0"
    )
