"""The parts of a run that all methods share: data, encoders, optimizer, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from raytrain.errors import RefusedError


class Part(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def names_in(image_features: str) -> tuple[str, ...]:
    """The names in a value of data.image_features: "lite0,lite2" -> ("lite0", "lite2")."""
    return tuple(name.strip() for name in image_features.split(","))


class DataConfig(Part):
    """Which table and features a run reads, and how captions and regions become a batch."""

    table: str = Field(description="folder of the table")
    image_features: str = Field(
        "lite0",
        description="name of an image feature array of the table, or several with commas between them (lite0,lite2), "
        "whose features are joined region by region",
    )
    regions: Literal["all", "global"] = Field("all", description="global: the whole-image vector of each array alone")
    text_features: str | None = Field("minilm", description="token states of the table; None trains on words")
    train_split: str = "train"
    val_split: str = "val"
    min_word_count: int = Field(4, ge=1, description="rarer words of the training captions become <unk>")
    max_words: int = Field(64, ge=2, description="longer captions are cut")
    region_drop: float = Field(0.2, ge=0, lt=1, description="size augmentation: share of regions dropped")
    word_drop: float = Field(0.2, ge=0, lt=1, description="size augmentation: share of words changed")
    batch_by: Literal["method", "pair", "image", "query"] = Field(
        "method",
        description="pair: captions at random; image: images with all their captions; query: composed queries, each "
        "with one of its targets; method: its own way",
    )

    @field_validator("image_features")
    @classmethod
    def _names_once(cls, value: str) -> str:
        """The names without blanks around them."""
        names = names_in(value)
        if not all(names) or len(set(names)) < len(names):
            raise ValueError(f"names of image features with commas between them, each once; given: {value!r}")
        return ",".join(names)

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        return names_in(self.image_features)


class FeedConfig(Part):
    """How batches reach the device. None of it changes a number: runs that differ here alone are the same run."""

    features: Literal["auto", "disk", "device"] = Field(
        "auto",
        description="disk: read the training split's features as they are needed; device: hold them there, as stored; "
        "auto: device on a GPU where they fit in device_share of its free memory",
    )
    device_share: float = Field(0.5, gt=0, le=1)
    read_ahead: int = Field(
        2,
        ge=0,
        le=16,
        description="batches read while one trains, one thread per batch; 0: each when it is needed",
    )
    image_processes: int = Field(
        0,
        ge=0,
        le=256,
        description="processes per worker that decode and prepare images for a backbone that trains; 0: four threads",
    )
    local_copy: str | None = Field(
        None,
        description="folder on each host's own disk: a host copies the features there once, and reads the copy",
    )
    verify: bool = Field(
        True,
        description="compare each feature array that is read with its sha256 in table.json, once per version of its "
        "file; false is `train --no-verify`, which the run records",
    )


class BiGRUText(Part):
    """Words, learned embeddings, a bidirectional GRU whose directions are averaged (VSE-infinity, SCAN family)."""

    kind: Literal["bigru"] = "bigru"
    word_dim: int = Field(300, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1, description="of the words' embeddings, where a GRU's states are pooled")
    state_dropout: float = Field(0.0, ge=0, lt=1, description="of those states")
    lr_scale: float = Field(1.0, gt=0, description="learning rate of the text encoder / optim.lr")


class TokenText(Part):
    """Token states of a frozen transformer, read from the table, through one linear layer."""

    kind: Literal["tokens"] = "tokens"
    lr_scale: float = Field(1.0, gt=0)


class TransformerText(Part):
    """A transformers text model trained with the rest (BERT in the papers), through one linear layer."""

    kind: Literal["transformer"] = "transformer"
    path: str = Field(description="folder or hub name that transformers' AutoModel loads (safetensors only)")
    lr_scale: float = Field(0.1, gt=0, description="learning rate of the transformer's last layer / optim.lr")
    layer_decay: float = Field(1.0, gt=0, le=1, description="a layer's rate / that of the one above it")
    recompute: bool = Field(
        False, description="activation checkpointing: keep the inputs of its layers alone, and compute the rest again"
    )


class FeatureImages(Part):
    """Features of a frozen backbone, or precomputed regions, read from the table."""

    kind: Literal["features"] = "features"


class TransformerImages(Part):
    """A transformers vision model, or the vision tower of a CLIP-like one, trained with the rest on the images."""

    kind: Literal["transformer"] = "transformer"
    path: str = Field(description="folder or hub name that transformers' AutoModel loads (safetensors only)")
    lr_scale: float = Field(0.1, gt=0, description="learning rate of its last layer / optim.lr")
    layer_decay: float = Field(1.0, gt=0, le=1, description="a layer's rate / that of the one above it")
    frozen_batch_norm: bool = Field(True, description="batch norm keeps the statistics it was trained with")
    target_pad: float | None = Field(
        None, ge=1, description="pad images that are longer than this ratio of their sides"
    )
    crop: float = Field(
        1.0, gt=0, le=1, description="random resized crop in training: least share of an image's area; 1 crops nothing"
    )
    flip: bool = Field(False, description="mirror half of the images in training")
    colour: float = Field(
        0.0, ge=0, lt=1, description="largest relative change of brightness, contrast and saturation in training"
    )
    draft: bool = Field(
        False, description="in training decode JPEGs at 1/2, 1/4 or 1/8 of their size where the model needs no more"
    )
    recompute: bool = Field(
        False, description="activation checkpointing: keep the inputs of its layers alone, and compute the rest again"
    )

    @model_validator(mode="after")
    def _statistics_move_once(self) -> TransformerImages:
        if self.recompute and not self.frozen_batch_norm:
            raise ValueError("recompute=true would move the statistics of batch norm twice; use frozen_batch_norm=true")
        return self


ImageConfig = Annotated[FeatureImages | TransformerImages, Field(discriminator="kind")]
TextConfig = Annotated[BiGRUText | TokenText | TransformerText, Field(discriminator="kind")]

HeadKind = Literal["method", "linear", "mlp"]


class EncoderConfig(Part):
    """The two encoders; docs/methods.md says which method reads which field beside `dim` and `text`."""

    dim: int = Field(1024, ge=2, description="D, size of the joint space")
    pooling: Literal["gpo", "mean", "max"] = "gpo"
    gpo_dim: int = Field(32, ge=2, description="size of GPO's position codes and hidden state")
    image_head: HeadKind = Field(
        "method",
        description="layers from an image's features to the joint space: linear, or an MLP with a linear skip; method: "
        "as its paper has it",
    )
    text_head: HeadKind = Field("method", description="the same of token states; words have none")
    head_hidden: int | None = Field(None, ge=1, description="hidden units of those MLPs; None: D / 2")
    head_activation: Literal["relu", "gelu"] = "relu"
    head_norm: Literal["batch", "none"] = Field("batch", description="of the MLPs' hidden units")
    image_dropout: float = Field(0.0, ge=0, lt=1, description="of image_head's input and of its MLP's hidden units")
    text_dropout: float = Field(0.0, ge=0, lt=1, description="the same of text_head")
    text_pool_first: bool = Field(
        False, description="pool token states ahead of text_head, which then maps one vector per caption"
    )
    image: ImageConfig = Field(default_factory=FeatureImages)
    text: TextConfig = Field(default_factory=TokenText)


class OptimConfig(Part):
    """The optimizer, its schedule and the precision."""

    lr: float = Field(5e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    batch_size: int = Field(
        128,
        ge=2,
        description="caption-image pairs per step, images where data.batch_by is image, or queries; over all workers",
    )
    num_epochs: int = Field(25, ge=1)
    schedule: Literal["step", "cosine", "constant", "plateau"] = Field(
        "step", description="plateau: lr is divided by decay_factor when evaluation.select stops rising"
    )
    decay_epochs: tuple[int, ...] = Field((15,), description="schedule step: lr is divided by decay_factor at these")
    decay_factor: float = Field(10.0, ge=1)
    plateau_patience: int = Field(2, ge=0, description="schedule plateau: epochs without a new best that are let pass")
    warmup_steps: int = Field(0, ge=0, description="linear warm-up of the learning rate")
    clip_norm: float = Field(2.0, ge=0, description="largest gradient norm; 0 turns clipping off")
    accumulation: int = Field(1, ge=1, description="steps whose gradients are summed; negatives stay within a step")
    parts: int = Field(
        1,
        ge=1,
        description="gradient caching: a worker embeds its share of a batch in so many parts, and has the activations "
        "of one in memory; the loss stays that of the whole batch",
    )
    ema_decay: float = Field(0.0, ge=0, lt=1, description="evaluate an exponential moving average; 0 turns it off")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = Field(
        False, description="torch.compile the method's modules, twice per run; for GPUs, a CPU gains little"
    )
    tf32: bool = Field(
        False, description="a GPU takes float32 products and recurrences of the encoders in TF32; scores never"
    )
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps, for a dry run")
    checkpoint_steps: int | None = Field(None, ge=1, description="also checkpoint every so many steps in an epoch")
    start_from: str | None = Field(
        None, min_length=1, description="folder of a checkpoint whose weights the run starts with; `train --from`"
    )

    @model_validator(mode="after")
    def _plateau_decays(self) -> OptimConfig:
        if self.schedule == "plateau" and self.decay_factor == 1:
            raise ValueError("schedule=plateau divides lr by decay_factor; give one above 1, or schedule=constant")
        return self


class EvaluationConfig(Part):
    """How a run is judged on the validation split, each epoch."""

    select: str = Field(
        "val/rsum",
        pattern=r"^val/(rsum|pessimistic_rsum|(i2t|t2i)/recall_at_(1|5|10)|recall_at_(1|10|50)|map_at_r)$",
        description="metric whose best epoch is kept; the larger is the better; the last two are of composed queries",
    )
    keep_similarity: bool = Field(True, description="cache the best epoch's validation similarities for `rerank`")
    memory_mib: int = Field(
        64,
        ge=1,
        description="MiB that scoring may hold beside the embeddings (and beside kept similarities); on a GPU half of "
        "what is free there, where that is more",
    )

    @field_validator("select", mode="before")
    @classmethod
    def _never_by_test(cls, name: object) -> object:
        if str(name).startswith("test/"):
            raise RefusedError(f"evaluation.select={name}: validation chooses; a metric of test cannot")
        return name
