"""table.json: what a table says of itself. Fields that a newer version has added are kept when it is written again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from raytrain.data.table.schema import SCHEMA_VERSION, Gallery
from raytrain.errors import DataError, Problem, argument
from raytrain.files import read_model, write_json

NAME = "table.json"
_AGAIN = "Build the table again."

Count = Annotated[StrictInt, Field(ge=0, lt=2**40)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FeatureName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\x7f]{1,200}$", description="part of a file's name")]
SplitName = Annotated[str, Field(pattern="^(train|val|test)$")]
FileName = Annotated[str, Field(pattern="^(items|texts|queries)[.]arrow$")]
Counted = Annotated[str, Field(pattern="^(items|texts|queries)$")]
_DIMENSIONS = {"image": "(items, regions, features)", "text": "(tokens of all texts, features)"}


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


class FeatureEntry(_Described):
    """What table.json says of a feature array, whose name is the key.

    Args:
        kind: "image" (rows are items) or "text" (rows are token states of texts, found through offsets).
        shape: of the .npy file: (N, R, F) or (sum T, F).
        dtype: "float16" or "float32".
        encoder: what made it: name, sha256 of the weights, pixels per side, layout; for the reader alone, except
            "global_index", the region in [0, R) that stands for the whole image, and "missing", the ids of the images
            whose features are zeros.
        sha256: of the .npy file.
        offsets_sha256: of the offsets of a text feature that was encoded; empty elsewhere.
    """

    kind: Literal["image", "text"]
    shape: Annotated[tuple[Count, ...], Field(strict=False)]  # a list in JSON
    dtype: Annotated[str, Field(pattern="^float(16|32)$")]
    encoder: dict[str, Any]
    sha256: Sha256
    offsets_sha256: Sha256 | Literal[""] = ""

    @model_validator(mode="after")
    def _consistent(self) -> FeatureEntry:
        dimensions = _DIMENSIONS[self.kind]
        if len(self.shape) != dimensions.count(",") + 1:
            raise ValueError(f"shape {list(self.shape)}, expected {dimensions}")
        place, missing = self.encoder.get("global_index"), self.encoder.get("missing", [])
        valid = place is None or self.kind == "text" or (type(place) is int and 0 <= place < self.shape[1])
        if not valid:
            raise ValueError(f"encoder.global_index is {place!r:.40}, expected the number of one of its regions")
        if not isinstance(missing, list) or not all(isinstance(identity, str) for identity in missing):
            raise ValueError("encoder.missing is no list of ids")
        return self


class Feature(FeatureEntry):
    """A feature array with its name, which is that of its file too."""

    name: FeatureName


class Accounts(_Described):
    """What was annotated, and what of it the table lacks.

    Args:
        allow_missing: share in [0, 1] of the annotated images that may be missing.
        because: {reason: number of missing images}.
        splits: {split: {"items", "texts" or "queries": {"annotated": ..., "missing": ...}}}.
    """

    allow_missing: Annotated[int | float, Field(ge=0, le=1)]
    because: dict[str, Count]
    splits: dict[str, dict[Counted, dict[str, Count]]]


class TableDescription(_Described):
    """The content of table.json.

    Args:
        schema_version: "schema" in the file.
        source: name and options of the source, and what it counted.
        image_root: folder or URL that items' files are relative to.
        splits: {split: {"items": ..., "texts": ..., "queries": ... of a table of composed queries}}.
        missing: ids of annotated images that the table lacks.
        accounts: None of a table that was built before there were accounts.
        gallery: of a table of composed queries, what a query is ranked against; None elsewhere.
        features: {name: entry}.
        files: {file name: sha256} of items, texts and queries.
        fingerprint: over `files` and `gallery`, 64 hex digits.
        checksum: sha256 over all other fields but `image_root`, which may change when images move; None of a table
            that an earlier version wrote.
    """

    schema_version: int = Field(alias="schema")
    source: dict[str, Any]
    image_root: str
    splits: dict[SplitName, dict[Counted, Count]]
    missing: list[str] = []
    accounts: Accounts | None = None
    gallery: Gallery | None = None
    features: dict[FeatureName, FeatureEntry]
    files: dict[FileName, Sha256]
    fingerprint: Sha256
    checksum: Sha256 | None = None

    @model_validator(mode="after")
    def _of_one_table(self) -> TableDescription:
        if lacking := {"items.arrow", "texts.arrow"} - self.files.keys():
            raise ValueError(f"files lacks {', '.join(sorted(lacking))}")
        if (self.gallery is not None) != ("queries.arrow" in self.files):
            raise ValueError("gallery and queries.arrow belong together: one of them is absent")
        if self.fingerprint != fingerprint_of(self.files, {} if self.gallery is None else {"gallery": self.gallery}):
            raise ValueError("fingerprint is not that of files and gallery: one of them was changed")
        if self.checksum is not None and self.checksum != _checksum(self._written()):
            raise ValueError(
                "changed since it was written: its checksum is of other content. If the change is meant, delete the "
                "field 'checksum'"
            )
        return self

    @classmethod
    def read(cls, folder: Path) -> TableDescription:
        """The description of the table in `folder`.

        Raises:
            DataError: there is none, it is damaged (each problem names the field), or it is of another schema.
        """
        path = folder / NAME
        try:
            schema = read_model(path, _Schema, _AGAIN).schema_version
            if schema != SCHEMA_VERSION:
                what = f"schema {schema!r}, this version reads {SCHEMA_VERSION}"
                raise DataError(Problem(str(path), None, what, _AGAIN))
            return read_model(path, cls, _AGAIN)
        except FileNotFoundError:
            raise DataError(
                Problem(
                    str(path),
                    None,
                    "not found",
                    "Build the table with `raytrain data build`; name one that was moved by data.table=FOLDER, and to "
                    f"evaluate by {argument('table', 'FOLDER')}.",
                )
            ) from None

    def write(self, folder: Path) -> None:
        """Write table.json into `folder`, atomically; fields that were never set are left out."""
        values = self._written()
        write_json(folder / NAME, values | {"checksum": _checksum(values)})

    def with_features(self, features: Mapping[str, FeatureEntry]) -> TableDescription:
        """The description with these features in place of its own."""
        entries = {name: entry.model_dump(exclude_unset=True) for name, entry in features.items()}
        return type(self).model_validate(self._written() | {"features": entries})

    def _written(self) -> dict[str, Any]:
        """The fields as they are written, without the checksum; those that were never set are left out."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude={"checksum"})


def fingerprint_of(files: Mapping[FileName, str], composed: Mapping[str, Any]) -> str:
    """The fingerprint of a table, 64 hex digits.

    Args:
        files: {file name: sha256} of items, texts and queries.
        composed: {"gallery": ...} for a table of composed queries, else {}.
    """
    return hashlib.sha256(json.dumps({**files, **composed}, sort_keys=True).encode()).hexdigest()


def _checksum(values: Mapping[str, Any]) -> str:
    covered = {name: value for name, value in values.items() if name != "image_root"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


class _Schema(BaseModel):
    """The schema alone: of a table of another one nothing else may be expected."""

    schema_version: Any = Field(None, alias="schema")
