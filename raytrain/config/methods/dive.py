"""The settings of DivE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raytrain.config.methods.base import MethodLabel
from raytrain.config.methods.contrastive import ContrastivePart


class SetsPart(ContrastivePart):
    """DivE's sets on both sides and the losses that train them, whatever compares two sets."""

    batch_ways: ClassVar[tuple[str, ...]] = ("image", "pair")
    views: int = Field(4, ge=1, le=64, description="K, embeddings per image and per caption")
    alpha: float = Field(16.0, gt=0, description="scale of smooth_chamfer")
    margin: float = Field(0.2, ge=0)
    mining: Literal["hardest", "mean", "semi_hard"] = "hardest"
    mean_warmup_epochs: float = Field(
        3, ge=0, description="epochs on the mean over all negatives first; published 0, which collapses on small data"
    )
    mmd_weight: float = Field(0.01, ge=0, description="of the discrepancy between image and text elements")
    diversity_weight: float = Field(0.01, ge=0)
    diversity: Literal["exponential", "gram"] = Field("exponential", description="DivE's form, or PVSE's")
    diversity_of: Literal["residual", "final"] = Field("residual", description="before or after adding the global part")
    aggregator: Literal["slots", "transformer", "pie_net"] = "slots"
    iterations: int = Field(4, ge=1, le=16, description="refinements of the slots")
    shared_block: bool = Field(True, description="one block for all refinements")
    slots: Literal["learned", "sampled"] = "learned"
    mask_mode: Literal["proper", "official"] = Field("proper", description="official: padding takes part, as published")
    place_scale: Literal["caption", "padded"] = Field(
        "caption", description="words' positions over the caption's length, or the padded batch's, as published"
    )
    heads: int = Field(4, ge=1)
    head_dim: int = Field(512, ge=1, description="inner width of the slots' attention is heads * head_dim")
    dropout: float = Field(0.1, ge=0, lt=1)
    text_global: Literal["max", "cls"] = Field("max", description="global feature of token states")
    text_global_linear: bool = Field(False, description="a second linear layer for it")
    image_lr_scale: float = Field(0.1, gt=0, description="learning rate of the image encoder / optim.lr")
    set_lr_scale: float = Field(0.1, gt=0, description="learning rate of the text's set module / optim.lr")


class DivEConfig(SetsPart):
    """Sets of K embeddings on both sides, matched by smooth-Chamfer similarity (Kim et al., CVPR 2023)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "DivE",
        "K elements per image and per caption, each set predicted by slots that compete for the input; "
        "compared by smooth-Chamfer similarity.",
        "Kim et al., CVPR 2023",
    )
    implementation: ClassVar[str] = "raytrain.methods.dive:DivE"
    kind: Literal["dive"] = "dive"
    similarity: Literal["smooth_chamfer", "chamfer", "max", "match_probability"] = "smooth_chamfer"
    match_trainable: bool = Field(True, description="train scale and shift of match_probability")
