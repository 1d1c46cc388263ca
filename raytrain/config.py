"""RunConfig and its parts: everything that decides a run, as one frozen, checked value.

A recipe returns one; a command line, a search space or a YAML file changes copies of it by dotted names
("optim.lr", "method.views"). A name that does not exist is an error that shows the names that do.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from raytrain.errors import UsageError


class Part(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Part):
    """Which table and features a run reads, and how captions and regions become a batch."""

    table: str = Field(description="folder of the table")
    image_features: str = Field("lite0", description="name of an image feature array of the table")
    text_features: str | None = Field("minilm", description="token states of the table; None trains on words")
    train_split: str = "train"
    val_split: str = "val"
    min_word_count: int = Field(4, ge=1, description="rarer words of the training captions become <unk>")
    max_words: int = Field(64, ge=2, description="longer captions are cut")
    region_drop: float = Field(0.2, ge=0, lt=1, description="size augmentation: share of regions dropped")
    word_drop: float = Field(0.2, ge=0, lt=1, description="size augmentation: share of words changed")
    batch_by: Literal["method", "pair", "image"] = Field(
        "method", description="pair: captions at random; image: images with all their captions; method: its own way"
    )


class BiGRUText(Part):
    """Words, learned embeddings, a bidirectional GRU whose directions are averaged (VSE-infinity, SCAN family)."""

    kind: Literal["bigru"] = "bigru"
    word_dim: int = Field(300, ge=1)
    lr_scale: float = Field(1.0, gt=0, description="learning rate of the text encoder / optim.lr")


class TokenText(Part):
    """Token states of a frozen transformer, read from the table, through one linear layer."""

    kind: Literal["tokens"] = "tokens"
    lr_scale: float = Field(1.0, gt=0)


class TransformerText(Part):
    """A transformers text model trained with the rest (BERT in the papers), through one linear layer."""

    kind: Literal["transformer"] = "transformer"
    path: str = Field(description="folder or hub name that transformers' AutoModel loads (safetensors only)")
    lr_scale: float = Field(0.1, gt=0, description="learning rate of the transformer / optim.lr")


TextConfig = Annotated[BiGRUText | TokenText | TransformerText, Field(discriminator="kind")]


class EncoderConfig(Part):
    """The two encoders that VSE-infinity and DVSE share; DivE reads `dim` and `text` alone."""

    dim: int = Field(1024, ge=2, description="D, size of the joint space")
    pooling: Literal["gpo", "mean", "max"] = "gpo"
    gpo_dim: int = Field(32, ge=2, description="size of GPO's position codes and hidden state")
    text: TextConfig = Field(default_factory=TokenText)


class VSEInfinityConfig(Part):
    """Generalised pooling with a hardest-negative triplet loss (Chen et al., CVPR 2021)."""

    kind: Literal["vse_infinity"] = "vse_infinity"
    margin: float = Field(0.2, ge=0)
    mean_warmup_epochs: float = Field(1, ge=0, description="epochs on the sum over all negatives before the hardest")
    same_image: Literal["masked", "negative"] = Field(
        "masked", description="another caption of the same image in the batch: no negative, or one (official code)"
    )


class DVSEConfig(Part):
    """K visual sub-embeddings against one text vector; the open choices of the paper are named switches."""

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


class DivEConfig(Part):
    """Sets of K embeddings on both sides, matched by smooth-Chamfer similarity (Kim et al., CVPR 2023)."""

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


MethodConfig = Annotated[VSEInfinityConfig | DVSEConfig | DivEConfig, Field(discriminator="kind")]


class OptimConfig(Part):
    """The optimizer, its schedule and the precision."""

    lr: float = Field(5e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    batch_size: int = Field(
        128, ge=2, description="caption-image pairs a step, or images where data.batch_by is image; over all workers"
    )
    num_epochs: int = Field(25, ge=1)
    schedule: Literal["step", "cosine", "constant"] = "step"
    decay_epochs: tuple[int, ...] = Field((15,), description="schedule step: lr is divided by decay_factor at these")
    decay_factor: float = Field(10.0, ge=1)
    warmup_steps: int = Field(0, ge=0, description="linear warm-up of the learning rate")
    clip_norm: float = Field(2.0, ge=0, description="largest gradient norm; 0 turns clipping off")
    accumulation: int = Field(1, ge=1, description="steps whose gradients are summed; negatives stay within a step")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="evaluate an exponential moving average; 0 turns it off")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps, for a dry run")
    checkpoint_steps: int | None = Field(None, ge=1, description="also checkpoint every so many steps in an epoch")


class EvaluationConfig(Part):
    """How a run is judged on the validation split, each epoch."""

    select: str = Field(
        "val/rsum",
        pattern=r"^val/(rsum|pessimistic_rsum|(i2t|t2i)/recall_at_(1|5|10))$",
        description="metric whose best epoch is kept; the larger is the better",
    )
    keep_similarity: bool = Field(True, description="cache the best epoch's validation similarities for `rerank`")


class RunConfig(Part):
    """One run. `storage` and names place it: `<storage>/<experiment>/<name>/`."""

    name: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", description="made from method, seed and time where empty")
    experiment: str = Field("default", pattern=r"^[A-Za-z0-9._-]+$")
    storage: str = "runs"
    seed: int = Field(0, ge=0, lt=2**31)
    data: DataConfig
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    method: MethodConfig
    optim: OptimConfig = Field(default_factory=OptimConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)

    @model_validator(mode="after")
    def _combinations(self) -> RunConfig:
        if self.data.val_split == "test" or self.data.train_split == "test":
            raise ValueError("training and selection never read the test split; use `raytrain evaluate --split test`")
        if self.encoder.text.kind == "tokens" and self.data.text_features is None:
            raise ValueError("encoder.text.kind=tokens reads data.text_features; name a text feature of the table")
        kind, ways = self.method.kind, _BATCH_BY.get(self.method.kind, ("pair",))
        if self.data.batch_by not in ("method", *ways):
            raise ValueError(f"{kind} does not train with data.batch_by={self.data.batch_by}; choose {', '.join(ways)}")
        return self

    @property
    def batch_by(self) -> str:
        """What a batch is made of: "pair" or "image"."""
        ways = _BATCH_BY.get(self.method.kind, ("pair",))
        return ways[0] if self.data.batch_by == "method" else self.data.batch_by

    @property
    def folder(self) -> Path:
        """The run's folder."""
        assert self.name, "a run is named before it is placed"
        return Path(self.storage).expanduser().resolve() / self.experiment / self.name


def override(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A copy of `config` with dotted names changed: {"optim.lr": 1e-4, "method.views": 4}.

    A change of `method.kind` or `encoder.text.kind` starts that part afresh and keeps the fields both kinds have.

    Raises:
        UsageError: a name that does not exist, or a value out of bounds.
    """
    values = config.model_dump()
    # kinds first: they decide which names exist beside them
    for name, value in sorted(changes.items(), key=lambda change: (not change[0].endswith(".kind"), change[0])):
        *path, last = name.split(".")
        here: Any = values
        for depth, key in enumerate(path):
            if not isinstance(here, dict) or key not in here:
                raise UsageError(_no_such_field(".".join(path[:depth]) or "RunConfig", key, here))
            here = here[key]
        if not isinstance(here, dict) or last not in here:
            raise UsageError(_no_such_field(".".join(path) or "RunConfig", last, here))
        if last == "kind" and value != here["kind"]:
            _switch_kind(here, name, value)
        else:
            here[last] = value
    return validate(values)


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """["optim.lr=1e-4", "data.text_features=null"] -> {"optim.lr": 1e-4, "data.text_features": None}.

    Values are read as YAML; `1e-4`, which YAML 1.1 takes for a string, is a number here.
    """
    changes: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"'{argument}' is no override; write name=value, for example optim.lr=1e-4")
        value = yaml.safe_load(text) if text else ""
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = float(value)
        changes[name] = value
    return changes


def validate(values: Mapping[str, Any]) -> RunConfig:
    """A RunConfig from plain values.

    Raises:
        UsageError: every wrong field, one line each.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            place = [str(part) for part in item["loc"] if not (isinstance(part, str) and part in _KINDS)]
            if item["type"] == "extra_forbidden":
                parent: Any = values
                for key in place[:-1]:
                    parent = parent.get(key, {}) if isinstance(parent, Mapping) else {}
                lines.append(
                    _no_such_field(".".join(place[:-1]) or "RunConfig", place[-1], _fields(place[:-1], parent))
                )
            else:
                lines.append(f"{'.'.join(place) or 'RunConfig'}: {item['msg']} (given: {item['input']!r:.80})")
        raise UsageError("\n".join(lines)) from None


def to_yaml(config: RunConfig) -> str:
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def from_yaml(path: str | os.PathLike[str]) -> RunConfig:
    """The config of a YAML file; errors name the file."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(values, Mapping):
        raise UsageError(f"{path} holds {type(values).__name__}, not the fields of a RunConfig")
    try:
        return validate(values)
    except UsageError as error:
        raise UsageError(f"{path}:\n{error}") from None


def flatten(config: RunConfig) -> dict[str, Any]:
    """{"optim.lr": 5e-4, ...}: every leaf by its dotted name, for trackers and tables."""

    def leaves(prefix: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {
            k: v for key, part in value.items() for k, v in leaves(f"{prefix}.{key}" if prefix else key, part).items()
        }

    return leaves("", config.model_dump(mode="json"))


def completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The flat settings of a recorded run, with the fields that came after it at their defaults.

    A field is added to a part with a default that leaves earlier runs what they were, so that runs from before and
    after are the same setting.
    """
    parts: dict[str, type[Part] | None] = {
        "data": DataConfig,
        "encoder": EncoderConfig,
        "encoder.text": _TEXTS.get(str(recorded.get("encoder.text.kind"))),
        "method": _METHODS.get(str(recorded.get("method.kind"))),
        "optim": OptimConfig,
        "evaluation": EvaluationConfig,
    }
    found = dict(recorded)
    for place, part in parts.items():
        for name, field in part.model_fields.items() if part else ():
            if field.default_factory is None and not field.is_required():
                value = list(field.default) if isinstance(field.default, tuple) else field.default
                found.setdefault(f"{place}.{name}", value)
    return found


_METHODS: dict[str, type[Part]] = {"vse_infinity": VSEInfinityConfig, "dvse": DVSEConfig, "dive": DivEConfig}
_BATCH_BY: dict[str, tuple[str, ...]] = {"dive": ("image", "pair")}
"""Ways a method can take its batches, its own first; ("pair",) where it is not named."""
_TEXTS: dict[str, type[Part]] = {"bigru": BiGRUText, "tokens": TokenText, "transformer": TransformerText}
_KINDS = {**_METHODS, **_TEXTS}


def _switch_kind(here: dict[str, Any], name: str, kind: Any) -> None:
    choices = _METHODS if name == "method.kind" else _TEXTS
    if kind not in choices:
        raise UsageError(f"{name} has no choice {kind!r}. Choices: {', '.join(choices)}.")
    fields = choices[kind].model_fields
    kept = {key: value for key, value in here.items() if key in fields and key not in ("kind", "lr_scale")}
    here.clear()
    # a required field is None until it is set: then its name exists, and leaving it out is an error
    here.update({key: None if field.is_required() else field.default for key, field in fields.items()})
    here.update(kept | {"kind": kind})


def _fields(place: list[str], given: Any) -> list[str]:
    """Names that exist at a place of the tree, for an error."""
    part: Any = RunConfig
    for key in place:
        fields = part.model_fields if isinstance(part, type) and issubclass(part, BaseModel) else {}
        part = fields[key].annotation if key in fields else None
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            part = _KINDS.get(given.get("kind", "")) if isinstance(given, Mapping) else None
    return list(part.model_fields) if part is not None else []


def _no_such_field(place: str, name: str, fields: Any) -> str:
    names = list(fields) if isinstance(fields, (dict, list)) else []
    if not names:
        return f"{place} is a single value; it has no field '{name}'."
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"{place} has no field '{name}'{hint} Fields: {', '.join(names)}."
