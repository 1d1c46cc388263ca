"""The files of an index: opened for a search, and replaced as a whole.

    index.json                 what the index holds (raytrain/retrieval/index/manifest.py); names the files below
    embeddings-KEY.npy         (G, ...) float32, memory-mapped, in the order of the table
    entries-KEY.arrow          id, row of the table's items or texts, sha256 of what was embedded
    candidates-KEY-KIND.faiss  of FAISS, where candidates were asked for
    encoding/embeddings/       shards of embeddings that are being made (raytrain/data/encode/shards.py)

A file is never changed once index.json names it. An update writes others, replaces index.json in one step, and removes
what it named before: a kill leaves the index as it was or as it will be, and a search that is open goes on with the
files that it has mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from raytrain.data.table import Table
from raytrain.data.table.arrays import open_array
from raytrain.data.table.verification import ChangedFile, verify
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.files import replacing, sha256
from raytrain.retrieval.index.candidates import Candidates, open_candidates
from raytrain.retrieval.index.manifest import AGAIN, NAME, FileEntry, IndexManifest, read_manifest

ENTRIES = pa.schema([("id", pa.string()), ("row", pa.int64()), ("source", pa.binary(32))])


@dataclass(frozen=True)
class StoredIndex:
    """An index on disk.

    Args:
        folder: of the index.
        manifest: its index.json.
    """

    folder: Path
    manifest: IndexManifest

    def embeddings(self) -> Tensor:
        """(G, ...) float32, memory-mapped; what is written to them reaches no file.

        Raises:
            RefusedError: they were changed since they were written.
            DataError: they are missing, or of another form than index.json says.
        """
        path, manifest = self._verified(self.manifest.embeddings), self.manifest
        rows = open_array(path)
        if rows.shape != manifest.shape or rows.dtype != np.float32 or not rows.flags.c_contiguous:
            what = f"{rows.shape} {rows.dtype}, index.json says {manifest.shape} float32 by rows"
            raise DataError(Problem(str(path), None, what, AGAIN))
        return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))

    def entries(self) -> pa.Table:
        """(G) rows in the columns of ENTRIES; raises as `embeddings` does."""
        path = self._verified(self.manifest.entries)
        try:
            with pa.memory_map(str(path)) as source:
                rows = pa.ipc.open_file(source).read_all()
            rows.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(Problem(str(path), None, f"not readable: {error}", AGAIN)) from None
        if rows.schema != ENTRIES or len(rows) != self.manifest.shape[0]:
            what = f"{len(rows)} rows of {rows.schema.names}, index.json says {self.manifest.shape[0]}"
            raise DataError(Problem(str(path), None, what, AGAIN))
        return rows

    def candidates(self) -> Candidates | None:
        """None where every search compares all entries; raises as `embeddings` does, and UsageError without FAISS."""
        entry = self.manifest.candidates
        if entry is None:
            return None
        return open_candidates(self._verified(entry.file), entry, self.manifest.vectors)

    def refuse_other_model(self, weights: str) -> None:
        """Raises RefusedError if another model embedded the entries than the one with this hash of weights."""
        if weights != self.manifest.weights:
            raise RefusedError(
                f"{self.folder} holds embeddings of another model: that of {self.manifest.run} (weights "
                f"{self.manifest.weights[:12]}, these are {weights[:12]}); use it with that run, or make another one"
            )

    def refuse_other_table(self, table: Table) -> None:
        """Raises RefusedError if a table, or its features, are not those that were embedded."""
        manifest = self.manifest
        same = table.fingerprint == manifest.fingerprint
        hashes = table.feature_hashes(table.description.features)
        changed = [name for name, digest in manifest.features.items() if hashes.get(name) != digest]
        if not same or changed:
            what = f"its features {', '.join(changed)}" if same else "it"
            raise RefusedError(
                f"{table.path} is not as {self.folder} has it: {what} changed since. Bring the index up to date with "
                f"`raytrain index {manifest.run} --table {table.path} --out {self.folder}`"
            )

    def _verified(self, entry: FileEntry) -> Path:
        path = self.folder / entry.name
        try:
            verify(path, entry.sha256, self.folder)
        except ChangedFile:
            raise RefusedError(f"{path} was changed since it was written: its sha256 differs. {AGAIN}") from None
        except DataError as error:
            what = error.problems[0].what
            raise DataError(Problem(str(path), None, what, AGAIN)) from None
        return path


def stored_index(folder: Path) -> StoredIndex:
    """The index of a folder; UsageError where there is none."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise UsageError(f"{folder} holds no index (no {NAME}); make one with `raytrain index RUN --out {folder}`")
    return StoredIndex(folder, manifest)


def file_entry(path: Path) -> FileEntry:
    """What index.json says of a finished file."""
    return FileEntry(name=path.name, bytes=path.stat().st_size, sha256=sha256(path))


def write_entries(path: Path, entries: pa.Table) -> FileEntry:
    """Write a table in the columns of ENTRIES."""
    with replacing(path) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, ENTRIES) as out:
        out.write_table(entries)
    return file_entry(path)


def publish(folder: Path, manifest: IndexManifest) -> None:
    """Make files that are written the index, and remove those of the index before."""
    manifest.write(folder)
    named = {entry.name for entry in manifest.files}
    for pattern in ("embeddings-*.npy", "entries-*.arrow", "candidates-*.faiss"):
        for path in folder.glob(pattern):
            if path.name not in named:
                path.unlink()
