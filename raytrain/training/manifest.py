"""manifest.json of a checkpoint: which files it has, where training stood, and whether it is whole.

A manifest that was written by an earlier schema is read through MIGRATIONS; the files beside it stay as they are.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on

import raytrain
from raytrain.errors import DataError, Problem

NAME = "manifest.json"
SCHEMA_VERSION = 2
"""Of what `checkpoint.save` writes; a change that older code cannot read raises it and adds a migration."""
OTHER_CHECKPOINT = "Use another checkpoint of the run."
_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ENXIO)
"""Errors of reading that come from the checkpoint itself; any other one is of this process, or of this moment."""

Count = Annotated[int, Field(ge=0, lt=2**53)]


class Manifest(TypedDict):
    """What a manifest says; its file also holds `manifest_sha256`, the hash of these fields.

    Attributes:
        schema: SCHEMA_VERSION once it is read.
        raytrain: version that wrote it; None of schema 1.
        files: {name: sha256}.
        epoch, step: epochs and steps done.
        metrics: of the epoch that ended; {} within an epoch.
        selected: the selection metric; None within an epoch.
        world_size: processes that trained.
        fingerprint: of the table.
    """

    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    schema: int
    raytrain: str | None
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=200)], str]
    epoch: Count
    step: Count
    metrics: dict[str, float | None]
    selected: float | None
    world_size: NotRequired[Count]
    fingerprint: str


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


class UnusableCheckpointError(DataError):
    """A checkpoint that is not damaged: a newer raytrain wrote it, or this process may not read it.

    A run does not fall back from it, since another process can go on from it.
    """


def _from_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 has all fields of schema 2 but its own number and the version that wrote it."""
    return {**manifest, "schema": 2, "raytrain": None}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""{schema: the function that makes a manifest of the next schema}. A manifest without a number is of schema 1."""


def signed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a manifest with their hash, as every schema writes it; manifests were without until it came."""
    return {**fields, "manifest_sha256": _digest(fields)}


def read_manifest(checkpoint: Path) -> Manifest:
    """The manifest of a checkpoint folder, in the current schema.

    Raises:
        DataError: there is none, or it is damaged.
        UnusableCheckpointError: a newer raytrain wrote it, or it may not be read.
    """
    file = checkpoint / NAME
    with reading(file):
        refuse_no_file(file)
        text = file.read_bytes()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise damaged(file, f"not readable: {error}") from None
    if not isinstance(document, dict):
        raise damaged(file, f"not readable: it holds {type(document).__name__}, no object")
    recorded = document.pop("manifest_sha256", None)
    if recorded is not None and recorded != _digest(document):
        raise damaged(file, "damaged (its own sha256 differs)")
    schema = document.setdefault("schema", 1)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise damaged(file, f"schema {schema!r:.80} is no number of a schema")
    if schema > SCHEMA_VERSION:
        writer = document.get("raytrain")
        needed = f"raytrain {writer} or later" if isinstance(writer, str) else "a newer raytrain"
        what = f"schema {schema!r:.80}; raytrain {raytrain.__version__} reads up to schema {SCHEMA_VERSION}"
        raise UnusableCheckpointError(Problem(str(file), None, what, f"Use {needed}, which wrote this checkpoint."))
    for number in range(schema, SCHEMA_VERSION):
        document = MIGRATIONS[number](document)
    try:
        return _MANIFEST.validate_python(document)
    except ValidationError as error:
        fields = [f"{'.'.join(map(str, detail['loc']))!a}: {detail['msg']}" for detail in error.errors()]
        raise damaged(file, f"no manifest: {'; '.join(fields[:3])}") from None


def damaged(file: Path, why: str) -> DataError:
    """The error of a checkpoint of which one file is damaged."""
    return DataError(Problem(str(file), None, why, OTHER_CHECKPOINT))


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns an OSError of the body, which reads `file`, into a DataError, or UnusableCheckpointError without damage."""
    try:
        yield
    except FileNotFoundError:
        raise damaged(file, "missing") from None
    except OSError as error:
        why = f"not readable: {os.strerror(error.errno or 0)}"
        if error.errno in _DAMAGE:
            raise damaged(file, why) from None
        raise UnusableCheckpointError(
            Problem(str(file), None, why, "Let this process read it, then give the same command again.")
        ) from None


def refuse_no_file(file: Path) -> None:
    """Raises DataError for a folder, pipe or device in the place of a file: reading a pipe would wait for ever.

    Raises OSError where there is nothing.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise damaged(file, "not readable: no regular file")


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
