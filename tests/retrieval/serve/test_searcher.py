"""Which queries a run answers; several at once."""

from __future__ import annotations

import pytest

from raytrain.retrieval import Retriever
from raytrain.retrieval.serve.replies import Refusal
from raytrain.retrieval.serve.searcher import Query, Searcher


def test_a_run_says_which_queries_it_answers(searcher: Searcher, composed_retriever: Retriever) -> None:
    assert searcher.kinds == {
        (True, "no image", "images"), (False, "image", "images"), (False, "item", "images"), (False, "image", "texts"),
        (False, "item", "texts"),
    }  # fmt: skip
    assert not searcher.reranked
    composed = Searcher(composed_retriever, composed_retriever.gallery(), None)
    assert composed.kinds >= {(True, "image", "images"), (True, "item", "images")}
    assert (True, "no image", "images") not in composed.kinds


def test_queries_of_one_kind_are_answered_together_as_each_alone(searcher: Searcher) -> None:
    queries = [Query("a dog", k=3), Query("a cat", k=16), Query("dog on grass", k=1)]
    for query, hits in zip(queries, searcher.answer(queries), strict=True):
        alone = searcher.answer([query])[0]
        assert [hit.id for hit in hits] == [hit.id for hit in alone] and len(hits) == query.k
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-6)


def test_a_kind_that_can_be_reranked_is_offered(
    retriever: Retriever, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retriever, "reranks", lambda gallery: gallery.of == "images")
    again = Searcher(retriever, searcher.galleries["images"], searcher.galleries["texts"])
    assert again.reranked == {(True, "no image", "images")}
    again.check(Query("a", rerank=True))
    with pytest.raises(Refusal, match="no re-ranking here of a search of texts by an image of the gallery"):
        again.check(Query(item="3.jpg", of="texts", rerank=True))
