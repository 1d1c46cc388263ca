"""table.json: what a table says of itself. Fields that a newer version has added are kept when it is written again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from raytrain.data.table.schema import SCHEMA_VERSION, Gallery
from raytrain.errors import DataError, Problem
from raytrain.files import read_model, write_json

NAME = "table.json"
_AGAIN = "Build the table again."


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class FeatureEntry(_Described):
    """What table.json says of a feature array, whose name is the key.

    Args:
        kind: "image" (rows are items) or "text" (rows are token states of texts, found through offsets).
        shape: of the .npy file: (N, R, F) or (sum T, F).
        dtype: "float16" or "float32".
        encoder: what made it: name, sha256 of the weights, pixels per side, layout; for the reader alone.
        sha256: of the .npy file.
        offsets_sha256: of the offsets of a text feature that was encoded; empty elsewhere.
    """

    kind: Literal["image", "text"]
    shape: Annotated[tuple[StrictInt, ...], Field(strict=False)]  # a list in JSON
    dtype: str
    encoder: dict[str, Any]
    sha256: str
    offsets_sha256: str = ""


class Feature(FeatureEntry):
    """A feature array with its name, which is that of its file too."""

    name: str


class Accounts(_Described):
    """What was annotated, and what of it the table lacks.

    Args:
        allow_missing: share in [0, 1] of the annotated images that may be missing.
        because: {reason: number of missing images}.
        splits: {split: {"items", "texts" or "queries": {"annotated": ..., "missing": ...}}}.
    """

    allow_missing: int | float
    because: dict[str, int]
    splits: dict[str, dict[str, dict[str, int]]]


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
    """

    schema_version: int = Field(alias="schema")
    source: dict[str, Any]
    image_root: str
    splits: dict[str, dict[str, int]]
    missing: list[str] = []
    accounts: Accounts | None = None
    gallery: Gallery | None = None
    features: dict[str, FeatureEntry]
    files: dict[str, str]
    fingerprint: str

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
                    "evaluate by --table FOLDER.",
                )
            ) from None

    def write(self, folder: Path) -> None:
        """Write table.json into `folder`, atomically; fields that were never set are left out."""
        write_json(folder / NAME, self.model_dump(by_alias=True, exclude_unset=True))

    def with_features(self, features: Mapping[str, FeatureEntry]) -> TableDescription:
        """The description with these features in place of its own."""
        entries = {name: entry.model_dump(exclude_unset=True) for name, entry in features.items()}
        return type(self).model_validate(self.model_dump(by_alias=True, exclude_unset=True) | {"features": entries})


class _Schema(BaseModel):
    """The schema alone: of a table of another one nothing else may be expected."""

    schema_version: Any = Field(None, alias="schema")
