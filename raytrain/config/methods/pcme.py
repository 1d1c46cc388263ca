"""The settings of PCME."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel, MethodPart


class PCMEConfig(MethodPart):
    """Gaussians on both sides, matched by sampling (Chun et al., CVPR 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PCME",
        "A Gaussian per image and per caption, matched by samples of both.",
        "Chun et al., CVPR 2021",
    )
    implementation: ClassVar[str] = "raytrain.methods.pcme:PCME"
    kind: Literal["pcme"] = "pcme"
    samples: int = Field(7, ge=1, le=64, description="J, samples of an image and of a caption")
    match_scale: float = Field(15.0, gt=0, description="a of -a d + b at the start; it is trained (CUB 5)")
    match_shift: float = Field(15.0, description="b of -a d + b at the start; it is trained (CUB 5)")
    positives: Literal["image", "pair"] = Field(
        "image", description="an image matches all its captions in the batch, or the one it came with (official code)"
    )
    uniformity_weight: float = Field(0.0, ge=0, description="of the samples' uniformity (CUB 10)")
    vib_weight: float = Field(1e-5, ge=0, description="of the divergence from a standard normal (CUB 1e-3)")
    vib_form: Literal["exact", "official"] = Field(
        "exact", description="official: log sigma is put where the formula wants the log variance"
    )
    log_sigma_start: float = Field(-4.0, ge=-20, le=5, description="bias of log sigma at the start; published 0")
    text_sigma: Literal["gru", "mean"] = Field(
        "gru", description="words: beside the attention, log sigma reads a GRU of its own, or the mean of the words"
    )
    search_by: Literal["mean", "matmul", "match_probability"] = Field(
        "mean", description="rank by the cosine of the means, or by samples: inner products, or how likely they match"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    text_global: Literal["max", "cls"] = Field("max", description="global feature of token states")
