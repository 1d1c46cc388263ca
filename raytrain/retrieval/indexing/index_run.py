"""`raytrain index`: embeds a table with a run, or brings the index of an earlier call up to date.

The table is what the index follows. Entries are known by their id and by a hash of what they are embedded from: those
that are as they were keep their embedding, others are embedded, and those that the table has lost are dropped. All of
them stand in the order of the table. Work is done in shards, as `data encode` does it: after a kill, complete shards
are taken up, and the result is the same to the last byte.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from raytrain.data.encode.jobs import Mapper, in_process
from raytrain.data.encode.shards import remove
from raytrain.data.progress import Say
from raytrain.errors import RefusedError, UsageError
from raytrain.files import locked, plain_name, room_in
from raytrain.progress import say
from raytrain.retrieval.index.candidates import Accuracy, build, open_candidates, refuse_unfit
from raytrain.retrieval.index.manifest import CandidateKind, CandidatesEntry, IndexManifest, read_manifest
from raytrain.retrieval.index.store import StoredIndex, file_entry, publish
from raytrain.retrieval.indexing.embed_job import EmbedJob
from raytrain.retrieval.indexing.embed_table import ENCODING, Embedded, Target, embed_table
from raytrain.retrieval.indexing.measure import measure
from raytrain.retrieval.indexing.removal import kept_out_of
from raytrain.retrieval.load import open_model
from raytrain.retrieval.scores import Kind

SHARD_ITEMS = 2048
FOLDER = "indexes"
"""Of a run's folder, where its indexes are if nothing else is asked for."""
Faiss = CandidateKind | Literal["none"]


def index_run(
    model: str | os.PathLike[str],
    table: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    of: Kind = "images",
    split: str | None = None,
    faiss: Faiss | None = None,
    remove_ids: str | os.PathLike[str] | None = None,
    device: str | None = None,
    embed_on: str | None = None,
    shard_items: int = SHARD_ITEMS,
    progress: Say | None = say,
    map_batches: Mapper = in_process,
) -> dict[str, Any]:
    """Makes an index of a table, continues one that was interrupted, or brings one up to date with its table.

    Args:
        model: folder of a finished run or of an export, or an address of MLflow's registry.
        table: that is embedded; default the run's own. Where that was moved, this is where it is now.
        out: folder of the index; default indexes/TABLE-images (or -texts) in the run's folder. That of an export is
            not written into.
        of, split: which rows; None takes all splits.
        faiss: candidates; None keeps what the index has, "none" removes them.
        remove_ids: file with an id per line: these are no entries any more, in later calls neither.
        device: of this process, as in `load`.
        embed_on: device of what runs the batches; None takes this process's.
        shard_items: rows per shard, which is the most that a kill costs per worker.
        progress: receives a line every few seconds; None is silent.
        map_batches: runs the batches.

    Returns:
        {"index": folder, "items", "bytes": of all its files, "of", "split", "table", "fingerprint", "left_out",
        "kept", "embedded", "removed": entries, "kept_out": ids, "faiss": kind or None,
        "measured": as in Measured, or None}

    Raises:
        UsageError: nothing to embed, or candidates that the method or this machine has no use for.
        RefusedError: the folder holds an index of another model or of other rows, another process writes to it, the run
            has not finished or its own table changed since.
        DataError: two entries have one id, a file is damaged, or an id to remove is unknown.
        DiskFullError: the disk is full; complete shards stay for the next call.
    """
    opened = open_model(model, device, table)
    retriever = opened.retriever
    if faiss is not None and faiss != "none":
        refuse_unfit(retriever.model, faiss)
    if of == "texts" and retriever.model.local_features:
        raise UsageError(
            f"captions of {type(retriever.model).__name__} are as many vectors as they have words, which no array "
            "holds; index its images"
        )
    rows = retriever.table_rows(opened.table)
    if out is None and not opened.is_run:
        raise UsageError(f"{opened.name} is an export, whose folder stays as it is: give the index a place with --out")
    name = f"{plain_name(rows.table.path)}-{f'{split}-' if split else ''}{of}"
    folder = Path(out).expanduser().resolve() if out is not None else opened.folder / FOLDER / name
    where = embed_on or str(retriever.device)
    job = EmbedJob(str(opened.folder), str(rows.table.path), opened.moved_to, of, where, retriever)
    with room_in(opened.folder, f"index {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
        try:
            with locked(folder / ".lock", wait=False):
                before = read_manifest(folder)
                index = None if before is None else StoredIndex(folder, before)
                target = Target(folder, opened.name, retriever, rows, of, split, index)
                if before is not None:
                    _refuse_other(target, before)
                target = replace(target, kept_out=kept_out_of(target, remove_ids))
                return _brought_up_to_date(target, job, faiss, shard_items, progress, map_batches)
        except BlockingIOError:
            raise RefusedError(f"another process is writing the index {folder}; wait for it") from None


def _brought_up_to_date(
    target: Target, job: EmbedJob, faiss: Faiss | None, shard_items: int, progress: Say | None, map_batches: Mapper
) -> dict[str, Any]:
    before = target.before.manifest if target.before is not None else None
    kind_before = before.candidates.kind if before is not None and before.candidates is not None else "none"
    kind = kind_before if faiss is None else faiss
    if before is not None and target.is_current:
        embedded = Embedded(before, before.shape[0], 0, 0)
        if kind == kind_before and before.table == str(target.table.path):
            remove(target.folder / ENCODING)  # left by a kill after index.json was written
            return _result(target, embedded)
    else:
        embedded = embed_table(target, job, shard_items, progress, map_batches)
    candidates = None
    if embedded.manifest is before and kind == kind_before:
        candidates = before.candidates
    elif kind != "none":
        if progress:
            progress(f"candidates: {kind} over {embedded.manifest.shape[0]:,} {target.of}, then measured")
        candidates = _candidates(target, embedded.manifest, kind)
    fields = embedded.manifest.model_dump(by_alias=True) | {
        "table": str(target.table.path),
        "candidates": None if candidates is None else candidates.model_dump(),
    }
    manifest = IndexManifest.model_validate(fields)
    publish(target.folder, manifest)
    remove(target.folder / ENCODING)
    return _result(target, Embedded(manifest, embedded.kept, embedded.embedded, embedded.removed))


def _refuse_other(target: Target, before: IndexManifest) -> None:
    """Raises RefusedError where the folder holds an index of something else than was asked for."""
    index = StoredIndex(target.folder, before)
    index.refuse_other_model(target.retriever.weights)
    if (before.of, before.split) != (target.of, target.split):
        held = f"{before.of} of {before.split or 'all splits'}"
        wanted = f"{target.of} of {target.split or 'all splits'}"
        raise RefusedError(f"{target.folder} holds an index of {held}, not of {wanted}; give another folder with --out")


def _candidates(target: Target, manifest: IndexManifest, kind: CandidateKind) -> CandidatesEntry:
    """Candidates over the embeddings of a manifest, written and measured."""
    embeddings = StoredIndex(target.folder, manifest).embeddings()
    stem = Path(manifest.embeddings.name).stem.removeprefix("embeddings")
    path = target.folder / f"candidates{stem}-{kind}.faiss"
    accuracy = build(embeddings, kind, path) or Accuracy(0.0, 0.0)
    entry = CandidatesEntry(
        kind=kind, error=accuracy.error, longest=accuracy.longest, file=file_entry(path), measured=None
    )
    candidates = open_candidates(path, entry, manifest.vectors)
    measured = measure(target, embeddings, candidates)
    return CandidatesEntry.model_validate({**entry.model_dump(), "measured": measured.model_dump()})


def _result(target: Target, embedded: Embedded) -> dict[str, Any]:
    manifest = embedded.manifest
    candidates = manifest.candidates
    return {
        "index": str(target.folder),
        "items": manifest.shape[0],
        "bytes": sum(entry.bytes for entry in manifest.files),
        "of": manifest.of,
        "split": manifest.split,
        "table": manifest.table,
        "fingerprint": manifest.fingerprint,
        "left_out": manifest.left_out,
        "kept": embedded.kept,
        "embedded": embedded.embedded,
        "removed": embedded.removed,
        "kept_out": len(manifest.kept_out),
        "faiss": None if candidates is None else candidates.kind,
        "measured": candidates.measured.model_dump() if candidates is not None and candidates.measured else None,
    }
