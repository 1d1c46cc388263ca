"""The target faiss: an index that `search` reads, and FAISS alone, with the rows in the order of the ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.retrieval.export.faiss import write_faiss
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.index.store import stored_index
from raytrain.retrieval.runs import open_run

faiss = pytest.importorskip("faiss", reason="FAISS is not installed (extra `index`)")


def test_faiss_alone_ranks_the_vectors_of_the_index(run: Path, tmp_path: Path) -> None:
    opened = open_run(run, torch.device("cpu"))
    facts = write_faiss(opened, tmp_path / "out", ExportOptions())
    stored = stored_index(tmp_path / "out")
    assert (facts["path"], facts["kind"]) == (str(tmp_path / "out"), "sq8") and stored.manifest.candidates is not None
    index = faiss.read_index(str(tmp_path / "out" / stored.manifest.candidates.file.name))
    vectors = stored.embeddings().flatten(0, -2).numpy()
    assert index.ntotal == len(vectors) == facts["items"] * stored.manifest.vectors
    _, rows = index.search(np.ascontiguousarray(vectors[:3]), 1)
    products = vectors[:3] @ vectors.T
    assert np.allclose(products[range(3), rows[:, 0]], products.max(1), atol=0.02)  # stored with 8 bits
    hits = opened.retriever.search("a red square", 2, gallery=opened.retriever.open_index(tmp_path / "out"))
    assert [hit.id for hit in hits] == [hit.id for hit in opened.retriever.search("a red square", 2)]
