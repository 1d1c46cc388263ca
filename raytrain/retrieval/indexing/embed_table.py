"""The embeddings of a table, kept from an index where they can be, written shard by shard into its folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

import raytrain
from raytrain.data.encode.jobs import Job, Mapper, Work
from raytrain.data.encode.shards import ShardLayout, Shards, key_of, open_shards
from raytrain.data.progress import Progress, Say
from raytrain.data.table import Table
from raytrain.errors import DataError, NonFiniteError, Problem
from raytrain.files import sync
from raytrain.retrieval.gallery import rows_of
from raytrain.retrieval.index.manifest import IndexManifest
from raytrain.retrieval.index.store import ENTRIES, StoredIndex, file_entry, write_entries
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.table_rows import TableRows

ENCODING = Path("encoding") / "embeddings"
"""Of an index's folder, where shards are until index.json names the embeddings."""


@dataclass(frozen=True)
class Target:
    """What an index is to hold.

    Args:
        folder: of the index.
        model: folder of the run or of the export, or its address.
        retriever: of the model.
        rows: readers of the table.
        of, split: which of its rows.
        before: the index that is there; None for none.
        kept_out: ids that are no entries, in a fixed order.
    """

    folder: Path
    model: str
    retriever: Retriever
    rows: TableRows
    of: Kind
    split: str | None
    before: StoredIndex | None
    kept_out: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        return self.rows.table

    @property
    def readable(self) -> np.ndarray:
        """(N,) rows of the table's items or texts that can be embedded."""
        return rows_of(self.table, self.of, self.split, self.rows.missing)

    @property
    def chosen(self) -> np.ndarray:
        """(G,) those of them that are entries."""
        rows = self.readable
        is_out = pc.is_in(self.ids_of(rows), pa.array(self.kept_out, pa.string()))
        entries: np.ndarray = rows[~is_out.to_numpy(zero_copy_only=False)]
        return entries

    def ids_of(self, rows: np.ndarray) -> pa.Array:
        """(N,) ids of rows of the table's items or texts."""
        of_table = self.table.texts if self.of == "texts" else self.table.items
        return of_table["id"].take(pa.array(rows)).combine_chunks()

    @property
    def features(self) -> dict[str, str]:
        """{file: sha256} of the features that are read."""
        source = self.rows.text_source if self.of == "texts" else self.rows.region_source
        return self.table.feature_hashes(source.features)

    @property
    def is_current(self) -> bool:
        """Whether the index that is there was made of this very table, without the same ids."""
        if self.before is None:
            return False
        manifest = self.before.manifest
        same_table = manifest.fingerprint == self.table.fingerprint and manifest.features == self.features
        return same_table and manifest.kept_out == self.kept_out


@dataclass(frozen=True)
class Embedded:
    """What became of the entries.

    Args:
        manifest: of the new embeddings, without candidates; not written yet.
        kept, embedded, removed: numbers of entries.
    """

    manifest: IndexManifest
    kept: int
    embedded: int
    removed: int


def embed_table(target: Target, job: Job, shard_items: int, say: Say | None, map_batches: Mapper) -> Embedded:
    """Writes the files of embeddings and entries; index.json still names those before.

    Args:
        job: embeds rows of the table.
        shard_items: rows per shard.
        say: receives a line every few seconds; None is silent.
        map_batches: runs the job's batches.

    Raises:
        DataError: two entries have one id.
        NonFiniteError: an embedding is not finite.
        RefusedError, DiskFullError: as `index_run`.
    """
    chosen, before = target.chosen, target.before
    entries = _entries(target, chosen, say)
    old_places = _kept(entries, before)
    retriever, of = target.retriever, target.of
    first = target.rows.texts(chosen[:1]) if of == "texts" else target.rows.regions(chosen[:1])
    shape = (len(chosen), *retriever.embed_batch(first, of).shape[1:])
    batch_size = target.rows.texts_at_once if of == "texts" else target.rows.images_at_once
    encoding = {
        "weights": retriever.weights, "fingerprint": target.table.fingerprint, "features": target.features, "of": of,
        "split": target.split, "before": before.manifest.embeddings.sha256 if before else None,
        "shard_items": shard_items, "batch_size": batch_size, "device": retriever.device.type,
        "torch": torch.__version__,
    }  # fmt: skip
    if target.kept_out:
        encoding["kept_out"] = hashlib.sha256("\n".join(target.kept_out).encode()).hexdigest()
    key = key_of(encoding)[:16]
    path = target.folder / f"embeddings-{key}.npy"
    layout = ShardLayout(shape, "float32", len(chosen), shard_items)
    stray = None if before is not None and before.manifest.embeddings.name == path.name else path
    what = f"embeddings of {of}"
    with open_shards(target.folder, target.folder / ENCODING, what, encoding, layout, None, stray) as shards:
        shards.take_up(lambda row: True)
        taken_up = sum(len(shards.span(shard)) for shard in shards.complete)
        if taken_up and say:
            say(f"{what}: {len(shards.complete)} of {len(shards)} shards are complete already")
        count = Progress(what, len(chosen), of, say, before=taken_up)
        if before is not None:
            count.add(_copy(shards, old_places, before))
        for done in map_batches(job, _new_batches(shards, chosen, old_places, batch_size)):
            if not np.isfinite(done.features).all():
                raise NonFiniteError(f"{what} of {target.table.path} are not finite; check its features")
            shards.write(np.searchsorted(chosen, done.rows), done.features, [])
            count.add(len(done.rows))
        assert len(shards.complete) == len(shards), "a batch did not come back"
        os.replace(shards.path, path)
        sync(target.folder)
    manifest = IndexManifest(
        schema=1,
        raytrain=raytrain.__version__,
        run=target.model,
        method=type(retriever.model).__name__,
        weights=retriever.weights,
        table=str(target.table.path),
        fingerprint=target.table.fingerprint,
        features=target.features,
        of=of,
        split=target.split,
        left_out=len(rows_of(target.table, of, target.split)) - len(target.readable),
        shape=shape,
        embeddings=file_entry(path),
        entries=write_entries(target.folder / f"entries-{key}.arrow", entries),
        candidates=None,
        kept_out=target.kept_out,
    )
    kept = int((old_places >= 0).sum())
    return Embedded(manifest, kept, len(chosen) - kept, (before.manifest.shape[0] if before else 0) - kept)


def _entries(target: Target, chosen: np.ndarray, say: Say | None) -> pa.Table:
    """(G) rows in the columns of ENTRIES.

    Raises:
        DataError: two of them have one id.
    """
    texts, ids = target.of == "texts", target.ids_of(chosen)
    if len(ids.unique()) < len(ids):
        counts = pc.value_counts(ids)
        twice = next(entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1)
        place, fix = target.table.path / f"{'texts' if texts else 'items'}.arrow", "Build the table with distinct ids."
        raise DataError(Problem(str(place), None, f"two rows have the id {twice!r}", fix))
    read = (target.rows.text_source if texts else target.rows.region_source).open()
    count, hashes = Progress("hashes of what is embedded", len(chosen), target.of, say), []
    for row in chosen.tolist():
        hashes.append(hashlib.sha256(read(row)).digest())
        if len(hashes) % 1000 == 0:
            count.add(1000)
    return pa.table([ids, pa.array(chosen, pa.int64()), pa.array(hashes, pa.binary(32))], schema=ENTRIES)


def _kept(entries: pa.Table, before: StoredIndex | None) -> np.ndarray:
    """(G,) place in the index before of the same id, embedded from the same; -1 where there is none."""
    if before is None:
        return np.full(len(entries), -1)
    old = before.entries()
    places = {pair: place for place, pair in enumerate(zip(*_columns(old), strict=True))}
    return np.array([places.get(pair, -1) for pair in zip(*_columns(entries), strict=True)], dtype=np.int64)


def _columns(entries: pa.Table) -> tuple[list[Any], list[Any]]:
    return entries["id"].to_pylist(), entries["source"].to_pylist()


def _copy(shards: Shards, old_places: np.ndarray, before: StoredIndex) -> int:
    """Copies kept embeddings into shards that are not complete; returns their number."""
    rows, copied = before.embeddings(), 0
    for shard in range(len(shards)):
        span = shards.span(shard)
        old = old_places[span.start : span.stop]
        kept = np.flatnonzero(old >= 0)
        if shard not in shards.complete and len(kept):
            shards.write(span.start + kept, rows[torch.from_numpy(old[kept])].numpy(), [])
            copied += len(kept)
    return copied


def _new_batches(shards: Shards, chosen: np.ndarray, old_places: np.ndarray, batch_size: int) -> Iterator[list[Work]]:
    """The rows of each incomplete shard that are not kept, in batches."""
    for shard in range(len(shards)):
        span = shards.span(shard)
        new = chosen[span.start : span.stop][old_places[span.start : span.stop] < 0]
        if shard not in shards.complete and len(new):
            parts = (new[start : start + batch_size] for start in range(0, len(new), batch_size))
            yield [Work(part, [""] * len(part)) for part in parts]
