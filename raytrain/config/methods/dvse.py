"""The settings of DVSE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.contrastive import ContrastivePart


class DVSEConfig(ContrastivePart):
    """K visual sub-embeddings against one text vector; the open choices of the paper are named switches."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "DVSE",
        "K views per image against one vector per caption; the variance of a view's negatives weights its "
        "loss, and an orthogonality term keeps the views apart.",
        "arXiv 2309.08154; our reading of the published abstracts",
    )
    implementation: ClassVar[str] = "raytrain.methods.dvse:DVSE"
    kind: Literal["dvse"] = "dvse"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(1, ge=0)
    same_image: Literal["masked", "negative"] = "masked"
    views: int = Field(4, ge=1, le=64, description="K")
    view_pooling: Literal["shared", "per_view"] = Field("shared", description="one aggregator, or one per view")
    score: Literal["max", "mean", "log_mean_exp", "learned"] = Field("max", description="K view scores -> one score")
    score_scale: float = Field(16.0, gt=0, description="a of log_mean_exp")
    weight_fn: Literal[
        "inv", "softmax_neg", "var", "softmax_pos", "kendall", "none",
        "entropy_high", "entropy_low", "confidence_high", "confidence_low",
    ] = Field("inv", description="statistic of a view's negatives -> weight of its loss")  # fmt: skip
    weight_tau: float = Field(0.01, gt=0, description="temperature of softmax_neg and softmax_pos")
    entropy_tau: float = Field(0.05, gt=0, description="temperature of entropy_*, in units of a cosine")
    weight_gradient: bool = Field(False, description="let the gradient through the weights")
    variance: Literal["population", "unbiased"] = "population"
    variance_over: Literal["others", "negatives"] = Field(
        "others", description="members of the batch in a view's variance: all others, or without its image's captions"
    )
    kendall_over_views: Literal["mean", "sum"] = Field("mean", description="of kendall; published: sum")
    fused_weight: float = Field(
        0.0, ge=0, description="weight of the triplet loss on the pooled score, beside the view losses"
    )
    orth_weight: float = Field(0.1, ge=0, description="lambda_o")
    orth_penalty: Literal["square", "abs", "frobenius", "margin"] = "square"
    orth_schedule: Literal["adaptive", "constant", "ramp_up", "decay"] = "adaptive"

    @model_validator(mode="after")
    def _learned_score_learns(self) -> DVSEConfig:
        if self.score == "learned" and self.fused_weight == 0:
            raise ValueError("score=learned has no gradient unless fused_weight is above 0")
        return self
