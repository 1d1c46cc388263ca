"""What candidates are measured with, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("faiss", reason="candidates need faiss-cpu")
from raytrain.retrieval import Item, Retriever
from raytrain.retrieval.indexing.index_run import index_run
from tests.retrieval.indexing.conftest import QUIET


def test_a_graph_states_the_recall_that_was_measured(run: Path, retriever: Retriever, tmp_path: Path) -> None:
    made = index_run(run, None, tmp_path / "index", faiss="hnsw", **QUIET)
    assert made["measured"] == {"asked_by": "captions", "queries": 32, "k": 10, "proved": 0, "recall": 1.0}
    hits = retriever.search("a dog", gallery=retriever.open_index(tmp_path / "index"))
    assert str(hits.certainty) == "approximate, recall 1.000 measured on 32 queries"
    assert [hit.id for hit in hits] == [hit.id for hit in retriever.search("a dog")]


def test_images_ask_where_no_caption_can(composed_run: Path, composed_retriever: Retriever, tmp_path: Path) -> None:
    made = index_run(composed_run, None, tmp_path / "index", faiss="flat", **QUIET)
    assert made["measured"]["asked_by"] == "images" and made["measured"]["proved"] == made["items"] == 12
    index = composed_retriever.open_index(tmp_path / "index")
    hits = composed_retriever.search("in red", image=Item("val-1"), gallery=index, k=12)
    assert hits.certainty.kind == "proved" and "val-1" not in [hit.id for hit in hits]


def test_images_ask_for_texts(run: Path, retriever: Retriever, tmp_path: Path) -> None:
    made = index_run(run, None, tmp_path / "index", of="texts", faiss="fp16", **QUIET)
    assert (made["measured"]["asked_by"], made["measured"]["queries"]) == ("images", 16)
    hits = retriever.search(image=Item("1.jpg"), gallery=retriever.open_index(tmp_path / "index"), k=4)
    expected = retriever.search(image=Item("1.jpg"), gallery=retriever.gallery(of="texts"), k=4)
    assert [hit.id for hit in hits] == [hit.id for hit in expected] and hits.certainty.kind == "proved"
