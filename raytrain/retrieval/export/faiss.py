"""A run's gallery for FAISS: the images of its table as an index that other programs can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.index.manifest import CandidateKind
from raytrain.retrieval.indexing.index_run import index_run
from raytrain.retrieval.portable.attribution import write_attribution
from raytrain.retrieval.portable.provenance import provenance
from raytrain.retrieval.runs import OpenRun
from raytrain.scoring.feed import features_read


def write_faiss(opened: OpenRun, folder: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Write the index of `raytrain index RUN --faiss KIND` with the kind that fits the method.

    "sq8" where its answers can be proved exact, else "hnsw". The folder holds embeddings as .npy, ids as .arrow and
    the file of FAISS, whose rows are the entries' vectors in the same order; `raytrain search --index` reads it too.

    Returns:
        {"path", "kind", "items", "bytes", "measured"}

    Raises:
        UsageError: FAISS is not installed, or says nothing of this method's scores.
        RefusedError: the folder holds an index of another model or of other rows.
    """
    kind: CandidateKind = "sq8" if opened.retriever.model.monotone else "hnsw"
    made = index_run(opened.record.folder, opened.table.path, folder, faiss=kind)
    data = provenance(opened.record, opened.saved, opened.table)["data"]
    write_attribution(Path(made["index"]), data, features_read(opened.saved.config))
    return {"path": made["index"], "kind": kind} | {name: made[name] for name in ("items", "bytes", "measured")}
