"""The settings of each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from raytrain.config.parts import Part


@dataclass(frozen=True)
class MethodLabel:
    """How a method is shown: its title in tables, one sentence on how it works, and where it was published."""

    title: str
    summary: str = ""
    paper: str = ""


class MethodPart(Part):
    """The settings of a method.

    label: how leaderboards and `raytrain methods` show it.
    variant_field: name of the field whose value makes it another method in a leaderboard; None where there is none.
    variants: the labels of those, by the field's value.
    batch_ways: what its training batches can be made of (`data.batch_by`), its own way first.
    """

    label: ClassVar[MethodLabel]
    variant_field: ClassVar[str | None] = None
    variants: ClassVar[Mapping[str, MethodLabel]] = {}
    batch_ways: ClassVar[tuple[str, ...]] = ("pair",)


class VSEInfinityConfig(MethodPart):
    """Generalised pooling with a hardest-negative triplet loss (Chen et al., CVPR 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "VSE-infinity",
        "One vector per image and per caption; learned weights pool regions and words; triplet loss on the "
        "hardest negative.",
        "Chen et al., CVPR 2021",
    )
    kind: Literal["vse_infinity"] = "vse_infinity"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(1, ge=0, description="epochs on the sum over all negatives before the hardest")
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one (official code)"
    )


class DVSEConfig(MethodPart):
    """K visual sub-embeddings against one text vector; the open choices of the paper are named switches."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "DVSE",
        "K views per image against one vector per caption; the variance of a view's negatives weights its "
        "loss, and an orthogonality term keeps the views apart.",
        "arXiv 2309.08154; our reading of the published abstracts",
    )
    kind: Literal["dvse"] = "dvse"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(1, ge=0)
    same_image: Literal["masked", "negative"] = "masked"
    views: int = Field(4, ge=1, le=64, description="K")
    view_pooling: Literal["shared", "per_view"] = Field("shared", description="one aggregator, or one a view")
    score: Literal["max", "mean", "log_mean_exp", "learned"] = Field("max", description="K view scores -> one score")
    score_scale: float = Field(16.0, gt=0, description="a of log_mean_exp")
    weight_fn: Literal["inv", "softmax_neg", "var", "softmax_pos", "kendall", "none"] = Field(
        "inv", description="variance of a view's negatives -> weight of its loss"
    )
    weight_tau: float = Field(0.01, gt=0, description="temperature of softmax_neg and softmax_pos")
    weight_gradient: bool = Field(False, description="let the gradient through the weights")
    variance: Literal["population", "unbiased"] = "population"
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


class DivEConfig(MethodPart):
    """Sets of K embeddings on both sides, matched by smooth-Chamfer similarity (Kim et al., CVPR 2023)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "DivE",
        "K elements per image and per caption, each set predicted by slots that compete for the input; "
        "compared by smooth-Chamfer similarity.",
        "Kim et al., CVPR 2023",
    )
    batch_ways: ClassVar[tuple[str, ...]] = ("image", "pair")
    kind: Literal["dive"] = "dive"
    views: int = Field(4, ge=1, le=64, description="K, embeddings an image and a caption")
    similarity: Literal["smooth_chamfer", "chamfer", "max", "match_probability"] = "smooth_chamfer"
    alpha: float = Field(16.0, gt=0, description="scale of smooth_chamfer")
    match_trainable: bool = Field(True, description="train scale and shift of match_probability")
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
    heads: int = Field(4, ge=1)
    head_dim: int = Field(512, ge=1, description="inner width of the slots' attention is heads * head_dim")
    dropout: float = Field(0.1, ge=0, lt=1)
    text_global: Literal["max", "cls"] = Field("max", description="global feature of token states")
    text_global_linear: bool = Field(False, description="a second linear layer for it")
    image_lr_scale: float = Field(0.1, gt=0, description="learning rate of the image encoder / optim.lr")
    set_lr_scale: float = Field(0.1, gt=0, description="learning rate of the text's set module / optim.lr")


class CompositionPart(MethodPart):
    """How a reference and a modification text become one query, and what ranks its target first."""

    batch_ways: ClassVar[tuple[str, ...]] = ("query",)
    composition: Literal["fusion", "combiner", "tirg", "sum", "image", "text"] = Field(
        "fusion", description="reference and text -> query; image and text leave the other out"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="of fusion and combiner")
    residual: bool = Field(True, description="fusion: add reference and text, so that training begins near their sum")
    base_loss: Literal["info_nce", "multi_grained"] = Field(
        "info_nce", description="multi_grained: MGUR's, blurred targets first and exact ones later"
    )
    scale: float = Field(1 / 0.07, gt=0, description="1 / tau: what cosines are multiplied with")
    scale_learned: bool = Field(False, description="learn the scale, from there and up to 100")
    symmetric: bool = Field(False, description="info_nce in both directions; else query -> target alone")
    norm: float = Field(4.0, gt=0, description="multi_grained compares features of this norm and has no scale")
    known_positives: Literal["masked", "negative"] = Field(
        "masked", description="targets of a query that stand in the batch beside its own: no negatives, or (published)"
    )


class ComposedConfig(CompositionPart):
    """A composition under one loss: element-wise sum, CLIP4Cir's Combiner, TIRG; any of them under MGUR's loss."""

    label: ClassVar[MethodLabel] = MethodLabel("Composed", "Reference and text become one query.")
    variant_field: ClassVar[str | None] = "composition"
    variants: ClassVar[Mapping[str, MethodLabel]] = {
        "combiner": MethodLabel(
            "Combiner",
            "Reference and text through CLIP4Cir's Combiner.",
            "Baldrati et al., CVPRW 2022",
        ),
        "fusion": MethodLabel("Fusion", "Reference and text through two layers, added to their sum."),
        "image": MethodLabel("Image only", "The reference alone."),
        "sum": MethodLabel("Sum", "Reference and text added up."),
        "text": MethodLabel("Text only", "The modification text alone."),
        "tirg": MethodLabel(
            "TIRG",
            "The reference gated by the text, plus a residual.",
            "Vo et al., CVPR 2019",
        ),
    }
    kind: Literal["composed"] = "composed"


class RAUConfig(CompositionPart):
    """Ranking-aware uncertainty for composed retrieval (arXiv 2308.08131); the open choices are named switches.

    With the weights of the three uncertainty losses at 0 it is InfoNCE on the composition.
    """

    label: ClassVar[MethodLabel] = MethodLabel(
        "RAU",
        "Reference and text become one query; training puts Gaussians around query and target.",
        "arXiv 2308.08131; our reading of the published abstract",
    )
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
    dr_root: bool = Field(False, description="the distance and not its square")
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
        if self.theta_mode == "quantile" and self.theta < 0:
            raise ValueError("theta_mode=quantile takes theta in [0, 1]")
        if self.isu_weight + self.csu_weight == 0 and self.wiring == "parallel" and self.dr_blocks == "last":
            raise ValueError("dr_blocks=last leaves parallel blocks without a gradient unless isu or csu trains them")
        return self


class VSEPPConfig(MethodPart):
    """One vector an image and one a caption, hardest-negative triplet loss (VSE++, Faghri et al., BMVC 2018)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "VSE++",
        "One vector per image and per caption; one linear layer over the image's feature; triplet loss on the "
        "hardest negative.",
        "Faghri et al., BMVC 2018",
    )
    kind: Literal["vsepp"] = "vsepp"
    margin: float = Field(0.2, ge=0)
    mining: Literal["hardest", "sum"] = Field("hardest", description="sum: over all negatives, the paper's VSE0")
    mean_warmup_epochs: float = Field(
        0, ge=0, description="epochs on the sum over all negatives before the hardest; published 0"
    )
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one (official code)"
    )
    image: Literal["mean", "global"] = Field(
        "mean", description="what is projected: the mean of the regions, or the feature of the whole image"
    )
    gru: Literal["forward", "both"] = Field(
        "forward", description="words: last state of one direction (published), or the mean of both directions' last"
    )
    order: bool = Field(False, description="order embeddings: absolute values, scored by how far the order is violated")


class PVSEConfig(MethodPart):
    """K embeddings on both sides by PIE-Net, the best pair counts (Song and Soleymani, CVPR 2019)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PVSE",
        "K elements per image and per caption by attention, compared by their best pair.",
        "Song and Soleymani, CVPR 2019",
    )
    kind: Literal["pvse"] = "pvse"
    views: int = Field(2, ge=1, le=64, description="K, embeddings an image and a caption")
    margin: float = Field(0.1, ge=0)
    mining: Literal["hardest", "mean"] = Field("hardest", description="mean: over all pairs of the batch")
    mean_warmup_epochs: float = Field(
        0, ge=0, description="epochs on the mean over all pairs before the hardest; published 0"
    )
    same_image: Literal["masked", "negative"] = "masked"
    mmd_weight: float = Field(0.01, ge=0, description="of the discrepancy between image and text elements; at K > 1")
    diversity_weight: float = Field(0.1, ge=0, description="of the residuals' Gram matrices; at K > 1")
    dropout: float = Field(0.0, ge=0, lt=1)
    text_global: Literal["max", "cls"] = Field("max", description="global feature of token states")


class PCMEConfig(MethodPart):
    """Gaussians on both sides, matched by sampling (Chun et al., CVPR 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PCME",
        "A Gaussian per image and per caption, matched by samples of both.",
        "Chun et al., CVPR 2021",
    )
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


class PCMEPPConfig(MethodPart):
    """Gaussians on both sides, matched by a closed-form distance (Chun, ICLR 2024)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "PCME++",
        "A Gaussian per image and per caption, matched by a distance in closed form.",
        "Chun, ICLR 2024",
    )
    kind: Literal["pcmepp"] = "pcmepp"
    match_scale: float = Field(5.0, gt=0, description="a of -a d + b at the start; it is trained")
    match_shift: float = Field(5.0, description="b of -a d + b at the start; it is trained")
    positives: Literal["image", "pair"] = Field(
        "image", description="an image matches all its captions in the batch, or the one it came with"
    )
    vib_weight: float = Field(1e-4, ge=0, description="of the divergence from a standard normal")
    pseudo_weight: float = Field(0.1, ge=0, description="of the loss with pseudo-positives")
    log_variance_start: float = Field(-8.0, ge=-40, le=5, description="log variance of every dimension at the start")
    variance_norm: bool = Field(True, description="layer norm of the log variance, whose gain starts at 0.01")


_MEMORY = "MiB of the pairs compared at once, about; in training the others are computed again in the backward pass"


class SCANConfig(MethodPart):
    """Stacked cross attention between words and regions (Lee et al., ECCV 2018)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "SCAN",
        "Regions and words attend to one another; each pair of image and caption has a score of its own.",
        "Lee et al., ECCV 2018",
    )
    kind: Literal["scan"] = "scan"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(0, ge=0, description="epochs on the sum over all negatives; published 0")
    same_image: Literal["masked", "negative"] = "masked"
    direction: Literal["t2i", "i2t"] = Field("t2i", description="words attend to regions, or regions to words")
    attention_scale: float = Field(9.0, gt=0, description="lambda 1, of the softmax: 9 for t2i, 4 for i2t")
    pooling: Literal["log_sum_exp", "mean"] = Field("log_sum_exp", description="of words (t2i) or of regions (i2t)")
    pooling_scale: float = Field(6.0, gt=0, description="lambda 2, of log_sum_exp: 6 for t2i, 5 for i2t, COCO 20")
    memory_mib: int = Field(256, ge=1, description=_MEMORY)


class SGRAFConfig(MethodPart):
    """Similarity graph reasoning or attention filtration over alignments (Diao et al., AAAI 2021)."""

    label: ClassVar[MethodLabel] = MethodLabel(
        "SGRAF",
        "Alignments of words and regions, reasoned over as a graph or filtered.",
        "Diao et al., AAAI 2021",
    )
    kind: Literal["sgraf"] = "sgraf"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(0, ge=0, description="epochs on the sum over all negatives; published 0")
    same_image: Literal["masked", "negative"] = "masked"
    module: Literal["sgr", "saf"] = Field("sgr", description="published SGRAF: the mean score of one run of each")
    sim_dim: int = Field(256, ge=1, description="S, size of an alignment")
    steps: int = Field(3, ge=1, le=8, description="of graph reasoning (sgr)")
    attention_scale: float = Field(9.0, gt=0, description="lambda of the words' softmax over regions")
    dropout: float = Field(0.4, ge=0, lt=1, description="of word embeddings and of the global vectors' attention")
    region_norm: Literal["feature", "none"] = Field(
        "feature", description="batch norm in the images' global vector: of each feature over all regions, or none"
    )
    memory_mib: int = Field(256, ge=1, description=_MEMORY)


MethodConfig = Annotated[
    VSEInfinityConfig
    | DVSEConfig
    | DivEConfig
    | VSEPPConfig
    | PVSEConfig
    | PCMEConfig
    | PCMEPPConfig
    | SCANConfig
    | SGRAFConfig
    | ComposedConfig
    | RAUConfig,
    Field(discriminator="kind"),
]
METHOD_CONFIGS: dict[str, type[MethodPart]] = {
    config.model_fields["kind"].default: config for config in get_args(get_args(MethodConfig)[0])
}


def method_name(recorded: Mapping[str, Any]) -> str:
    """The name of a recorded run's method in tables: its kind, or "kind/variant".

    Args:
        recorded: the run's flat settings, by dotted names.
    """
    kind = str(recorded.get("method.kind", "unknown"))
    config = METHOD_CONFIGS.get(kind)
    if config is None or config.variant_field is None:
        return kind
    return f"{kind}/{recorded.get(f'method.{config.variant_field}')}"


def method_label(name: str) -> MethodLabel:
    """The label of a method by its name in tables; the bare name where no installed package has it."""
    kind, _, variant = name.partition("/")
    config = METHOD_CONFIGS.get(kind)
    if config is None:
        return MethodLabel(name)
    return config.variants.get(variant, MethodLabel(name)) if variant else config.label
