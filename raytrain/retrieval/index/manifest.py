"""index.json: what an index holds, which model made it and of what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from raytrain.errors import DataError, Problem
from raytrain.files import read_model, write_json
from raytrain.retrieval.scores import Kind

CandidateKind = Literal["flat", "fp16", "sq8", "hnsw"]
AskedBy = Literal["captions", "images"]

NAME = "index.json"
SCHEMA_VERSION = 1
AGAIN = "Remove the folder, and make the index again with `raytrain index`."

Count = Annotated[StrictInt, Field(ge=0, lt=2**53)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^(embeddings|entries|candidates)-[0-9a-z-]+\.(npy|arrow|faiss)$")]


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Described):
    """A file of the index, in its folder."""

    name: FileName
    bytes: Count
    sha256: Sha256


class Measured(_Described):
    """How candidates answered queries of the table, compared with the scores of all entries.

    Args:
        asked_by: what the queries were.
        queries: number of them.
        k: results per query.
        proved: queries whose answer was proved exact.
        recall: mean share of the k best among the results, over the queries that were not proved; None for none.
    """

    asked_by: AskedBy
    queries: Count
    k: Count
    proved: Count
    recall: Annotated[float, Field(ge=0, le=1)] | None

    @property
    def recall_queries(self) -> int:
        """Number of queries that `recall` is a mean over; all of them where each was proved."""
        return self.queries - self.proved or self.queries


class CandidatesEntry(_Described):
    """Candidates of FAISS.

    Args:
        kind: as in raytrain/retrieval/index/candidates.py.
        error: largest distance of a vector from what is stored of it; 0 of "flat" and "hnsw".
        longest: largest length of a vector; 0 of "hnsw".
        file: of FAISS.
        measured: None where the table has nothing to ask.
    """

    kind: CandidateKind
    error: Annotated[float, Field(ge=0)]
    longest: Annotated[float, Field(ge=0)]
    file: FileEntry
    measured: Measured | None


class IndexManifest(_Described):
    """The content of index.json.

    Args:
        schema_version: "schema" in the file.
        raytrain: version that wrote it.
        run: folder of the run or of the export whose model embedded, or its address in MLflow's registry.
        method: name of its method.
        weights: of the model, as raytrain/retrieval/weights.py hashes them.
        table: folder of the table.
        fingerprint: of the table.
        features: {file: sha256} of the table's features that were read.
        of, split: which of its rows; None for all splits.
        left_out: number of images without features.
        shape: (G, ...) of the embeddings, float32.
        embeddings: .npy, a row per entry, in the order of the table.
        entries: .arrow: id, row of the table's items or texts, sha256 of what was embedded.
        candidates: None where every search compares all entries.
        kept_out: ids that somebody removed: rows of the table that are no entries, after an update neither.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    raytrain: str
    run: str
    method: str
    weights: Sha256
    table: str
    fingerprint: Sha256
    features: dict[str, Sha256]
    of: Kind
    split: str | None
    left_out: Count
    shape: Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=3)]  # a list in JSON
    embeddings: FileEntry
    entries: FileEntry
    candidates: CandidatesEntry | None
    kept_out: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @property
    def files(self) -> list[FileEntry]:
        return [self.embeddings, self.entries, *([self.candidates.file] if self.candidates else [])]

    @property
    def vectors(self) -> int:
        """J, vectors per entry."""
        return 1 if len(self.shape) == 2 else self.shape[1]

    @model_validator(mode="after")
    def _holds_something(self) -> IndexManifest:
        if 0 in self.shape:
            raise ValueError(f"shape {list(self.shape)} holds nothing")
        return self

    def write(self, folder: Path) -> None:
        """Write index.json into `folder`, atomically."""
        write_json(folder / NAME, self.model_dump(by_alias=True))


class _Schema(BaseModel):
    """The schema alone: of an index of another one nothing else may be expected."""

    schema_version: Any = Field(None, alias="schema")


def read_manifest(folder: Path) -> IndexManifest | None:
    """What index.json of a folder says; None where there is none.

    Raises:
        DataError: it is damaged (each problem names the field), or of another schema.
    """
    path = folder / NAME
    try:
        schema = read_model(path, _Schema, AGAIN).schema_version
        if schema != SCHEMA_VERSION:
            raise DataError(Problem(str(path), None, f"schema {schema!r}, this version reads {SCHEMA_VERSION}", AGAIN))
        return read_model(path, IndexManifest, AGAIN)
    except FileNotFoundError:
        return None
