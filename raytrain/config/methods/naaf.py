"""The settings of NAAF."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.triplet import LocalPairsPart


class NAAFConfig(LocalPairsPart):
    """Negative-aware attention: words that match no region count against a pair (Zhang et al., CVPR 2022)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "NAAF",
        "Words attend to the regions above a threshold; words below it count against the pair. The threshold is "
        "estimated while training.",
        "Zhang et al., CVPR 2022",
    )
    implementation: ClassVar[str] = "raytrain.methods.cross_attention.naaf:NAAF"
    kind: Literal["naaf"] = "naaf"
    attention_scale: float = Field(20.0, gt=0, description="lambda of the words' softmax over regions")
    mismatch_penalty: float = Field(
        2.0, gt=0, description="alpha: cost of a mismatched word above the threshold / that of a matched one below it"
    )
    sample_words: int = Field(200, ge=2, description="the threshold is estimated from more matched words than these")
    threshold_momentum: float = Field(0.3, ge=0, lt=1, description="share of the threshold that was before")
    test_threshold: Literal["safe", "learned"] = Field(
        "safe", description="safe: mean of matched words - 3 standard deviations (published); learned: as in training"
    )
    propagation_scale: float = Field(
        5.0,
        ge=0,
        description="at test, lambda of the words' attention to each other, whose mean decides which words count as "
        "mismatched; 0: each word by itself, as in training",
    )
