"""config.json of a portable model: what it is, what its inputs are, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

import raytrain
from raytrain.data.table.description import Feature
from raytrain.errors import DataError, Problem
from raytrain.evaluation.reranking.record import checked_temperatures
from raytrain.files import read_model, write_json
from raytrain.methods.base import Inputs

NAME = "config.json"
WEIGHTS, WORDS = "model.safetensors", "vocabulary.json"
TEXT_MODEL, IMAGE_MODEL, BACKBONES = "text_model", "image_model", "backbones"
FORM: Literal["raytrain"] = "raytrain"
SCHEMA_VERSION = 1
FIX = "Export the run again with `raytrain export`, or download the folder again."
Size = Annotated[StrictInt, Field(ge=1, lt=2**31)]


class Sizes(BaseModel):
    """As raytrain.methods.base.Inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region_features: Size
    token_features: Size | None = None
    words: Size | None = None
    global_region: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = None


class Bank(BaseModel):
    """Inductive re-ranking.

    Args:
        params: as `Temperatures.as_dict` gives them.
        fingerprint: of the table whose training queries the bank holds.
    """

    model_config = ConfigDict(frozen=True)

    params: dict[str, Any]
    fingerprint: str

    @field_validator("params")
    @classmethod
    def _are_temperatures(cls, params: dict[str, Any]) -> dict[str, Any]:
        checked_temperatures(params)
        return params


class Description(BaseModel):
    """The content of config.json. Fields that a newer version has added are kept.

    Args:
        form: what tells the folder from that of another library.
        schema_version: "schema" in the file.
        raytrain: version that wrote it.
        task: what a query is: a text, or an image with a text that changes it.
        run: the RunConfig; folders are cut to their last name.
        inputs: sizes that the method is built for.
        regions: R of an image, as the model reads it.
        features: {name: what a table said of the features that the model was trained on}. Where a backbone lies in
            the folder, its name in `encoder` is a path in it.
        bank: of inductive re-ranking; None where its settings were not searched.
        provenance: run, data and measurements (raytrain/retrieval/portable/provenance.py), for readers alone.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", populate_by_name=True)

    form: Literal["raytrain"] = FORM
    schema_version: int = Field(SCHEMA_VERSION, alias="schema")
    raytrain: str = raytrain.__version__
    task: Literal["text to image", "image and text to image"]
    run: dict[str, Any]
    inputs: Sizes
    regions: Size
    features: dict[str, Feature]
    bank: Bank | None = None
    provenance: dict[str, Any] = {}

    @classmethod
    def read(cls, folder: Path) -> Description:
        """The description in a folder.

        Raises:
            DataError: it is damaged, or of a newer schema.
        """
        path = folder / NAME
        schema = read_model(path, _Schema, FIX).schema_version
        if schema != SCHEMA_VERSION:
            what = f"schema {schema!r:.40}, raytrain {raytrain.__version__} reads {SCHEMA_VERSION}"
            raise DataError(Problem(str(path), None, what, "Use the raytrain that wrote it, or a later one."))
        return read_model(path, cls, FIX)

    def write(self, folder: Path) -> None:
        write_json(folder / NAME, self.model_dump(mode="json", by_alias=True))

    @property
    def composed(self) -> bool:
        """Whether a query is an image with a text that changes it."""
        return self.task == "image and text to image"

    def sizes(self) -> Inputs:
        return Inputs(**self.inputs.model_dump())


class _Schema(BaseModel):
    """The schema alone: of another one nothing else may be expected."""

    schema_version: Any = Field(None, alias="schema")


def sizes_of(inputs: Inputs) -> Sizes:
    return Sizes(**asdict(inputs))


def is_portable(folder: Path) -> bool:
    """Whether a folder says that it is a portable model."""
    try:
        return bool(read_model(folder / NAME, _Form, FIX).form == FORM)
    except (FileNotFoundError, DataError):
        return False


class _Form(BaseModel):
    form: Any = None


def own_name(value: str) -> str:
    """The last name of a folder: what a portable model says of where something lay."""
    return Path(value).name or "table"


def neutral(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a RunConfig without places of the machine that trained."""
    data, optim, feed = (dict(config[part]) for part in ("data", "optim", "feed"))
    data["table"] = own_name(data["table"])
    if optim.get("start_from"):
        optim["start_from"] = own_name(optim["start_from"])
    feed["local_copy"] = None
    return {**config, "storage": "runs", "data": data, "optim": optim, "feed": feed}
