"""RunConfig and its parts: everything that decides a run, as one frozen, checked value.

A recipe returns one; a command line, a search space or a YAML file changes copies of it by dotted names
("optim.lr", "method.views"). A name that does not exist is an error that shows the names that do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from raytrain.config.fields import KINDS, kinds_in, leaves, no_such_field, part_at
from raytrain.config.methods import METHOD_CONFIGS, MethodConfig
from raytrain.config.parts import (
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    FeedConfig,
    OptimConfig,
    Part,
)
from raytrain.config.yaml_files import read_yaml
from raytrain.errors import RefusedError, UsageError


class RunConfig(Part):
    """One run. `storage` and names place it: `<storage>/<experiment>/<name>/`."""

    name: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", description="made from method, seed and time where empty")
    experiment: str = Field("default", pattern=r"^[A-Za-z0-9._-]+$")
    storage: str = "runs"
    seed: int = Field(0, ge=0, lt=2**31)
    data: DataConfig
    feed: FeedConfig = Field(default_factory=FeedConfig)
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    method: MethodConfig
    optim: OptimConfig = Field(default_factory=OptimConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)

    @field_validator("name", "experiment")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        """Raise on . and .., which lead out of the experiment: such a run would be in no leaderboard."""
        if value in (".", ".."):
            raise ValueError("'.' and '..' are other folders and not the names of one; give another")
        return value

    @model_validator(mode="after")
    def _combinations(self) -> RunConfig:
        if self.data.val_split == "test" or self.data.train_split == "test":
            raise RefusedError("training and selection never read the test split; use `raytrain evaluate --split test`")
        if self.encoder.text.kind == "tokens" and self.data.text_features is None:
            raise ValueError("encoder.text.kind=tokens reads data.text_features; name a text feature of the table")
        kind, ways = self.method.kind, self.method.batch_ways
        if self.data.batch_by not in ("method", *ways):
            raise ValueError(f"{kind} does not train with data.batch_by={self.data.batch_by}; choose {', '.join(ways)}")
        return self

    @property
    def batch_by(self) -> str:
        """What a batch is made of: "pair" or "image"."""
        return self.method.batch_ways[0] if self.data.batch_by == "method" else self.data.batch_by

    @property
    def folder(self) -> Path:
        """The run's folder."""
        assert self.name, "a run is named before it is placed"
        return Path(self.storage).expanduser().resolve() / self.experiment / self.name


def validate(values: Mapping[str, Any]) -> RunConfig:
    """A RunConfig from plain values, as `to_values` gives them.

    Raises:
        UsageError: every wrong field, one line each.
    """
    plugins = values.get("plugins")
    if isinstance(plugins, Mapping):
        values = {name: value for name, value in values.items() if name != "plugins"}
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            place = [
                str(part)
                for part in item["loc"]
                if not (isinstance(part, str) and any(part in KINDS[at] for at in ("encoder.image", "encoder.text")))
            ]
            absent = None
            if place == ["method"] and item["type"] == "union_tag_invalid":
                recorded = plugins.get("method") if isinstance(plugins, Mapping) else None
                absent = METHOD_CONFIGS.why_absent(item["ctx"]["tag"], recorded)
            if absent is not None:
                lines.append(absent)
            elif item["type"] == "extra_forbidden":
                kinds = kinds_in(values)
                part = part_at(RunConfig, place[:-1], kinds)
                fields = part.model_fields if part is not None else ()
                lines.append(no_such_field(".".join(place[:-1]), place[-1], fields, leaves(RunConfig, kinds)))
            else:
                lines.append(f"{'.'.join(place) or 'RunConfig'}: {item['msg']} (given: {item['input']!r:.80})")
        raise UsageError("\n".join(lines)) from None


def recorded_plugins(config: RunConfig) -> dict[str, dict[str, str]]:
    """{"plugins": {"method": "package==version"}} of a run whose method another package brings, {} of others.

    Files that record a config record this beside it, so that whoever lacks the package is told its name.
    """
    package = METHOD_CONFIGS.package_of(config.method.kind)
    return {"plugins": {"method": package.requirement}} if package else {}


def to_values(config: RunConfig) -> dict[str, Any]:
    """The config as plain values, which `validate` takes back in any process."""
    return {**config.model_dump(mode="json"), **recorded_plugins(config)}


def to_yaml(config: RunConfig) -> str:
    return str(yaml.safe_dump(to_values(config), sort_keys=False))


def from_yaml(path: str | os.PathLike[str]) -> RunConfig:
    """The config of a YAML file; errors name the file."""
    values = read_yaml(path, "run")
    try:
        return validate(values)
    except UsageError as error:
        raise UsageError(f"{path}: {'; '.join(str(error).splitlines())}") from None


def flatten(config: RunConfig) -> dict[str, Any]:
    """{"optim.lr": 5e-4, ...}: every leaf by its dotted name, for trackers and tables."""

    def leaves(prefix: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {
            k: v for key, part in value.items() for k, v in leaves(f"{prefix}.{key}" if prefix else key, part).items()
        }

    return leaves("", config.model_dump(mode="json"))


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of settings whose leaves `flatten` named, from the journal of a run or sweep.

    Raises:
        UsageError: a name is both a value and the beginning of others.
    """
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        here = tree
        for key in path:
            here = here.setdefault(key, {})
            if not isinstance(here, dict):
                raise UsageError(f"the journal's start has both a value and fields of {name.rpartition('.')[0]}")
        here[last] = value
    return tree


def changes_nothing(name: str) -> bool:
    """Whether a flat name says where a run lies or how its data reach it, which no number of it depends on."""
    return name == "storage" or name.startswith("feed.")


def completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The flat settings of a recorded run that decide its numbers; fields that came after it at their defaults.

    A field is added to a part with a default that leaves earlier runs what they were, so that runs from before and
    after are the same setting. An ensemble (raytrain/run_evaluation/ensemble.py) has no such fields.
    """
    if "ensemble.members" in recorded:
        return {name: value for name, value in recorded.items() if not changes_nothing(name)}
    parts: dict[str, type[Part] | None] = {
        "data": DataConfig,
        "encoder": EncoderConfig,
        # runs from before images could be trained on read features
        "encoder.image": KINDS["encoder.image"].get(str(recorded.get("encoder.image.kind", "features"))),
        "encoder.text": KINDS["encoder.text"].get(str(recorded.get("encoder.text.kind"))),
        "method": KINDS["method"].get(str(recorded.get("method.kind"))),
        "optim": OptimConfig,
        "evaluation": EvaluationConfig,
    }
    settings = {name: value for name, value in recorded.items() if not changes_nothing(name)}
    for place, part in parts.items():
        for name, field in part.model_fields.items() if part else ():
            if field.default_factory is None and not field.is_required():
                value = list(field.default) if isinstance(field.default, tuple) else field.default
                settings.setdefault(f"{place}.{name}", value)
    return settings
