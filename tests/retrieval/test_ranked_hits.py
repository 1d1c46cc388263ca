"""Which entries are compared with a query: all, or candidates where scores are the method's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.ranked_hits import ranked_hits
from tests.retrieval.index import made


def gallery_with(candidates: object, embeddings: torch.Tensor) -> Gallery:
    names = [str(number) for number in range(len(embeddings))]
    return Gallery("images", embeddings, names, names, names, names, candidates=candidates)  # type: ignore[arg-type]


def test_candidates_and_all_entries_give_the_same_hits_and_say_which_they_are(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="candidates need faiss-cpu")
    model, embeddings = made.Compared(made.views("max")), made.sets(300, 4, 16, 0)
    queries, excluded = embeddings[:5, 0], {1: 1}
    scored = ranked_hits(model, queries, gallery_with(None, embeddings), 3, excluded, None, 16.0)
    candidates = made.candidates(tmp_path, embeddings, "sq8")
    with_candidates = gallery_with(candidates, embeddings)
    proved = ranked_hits(model, queries, with_candidates, 3, excluded, None, 16.0)
    assert [[hit.id for hit in hits] for hits in scored] == [[hit.id for hit in hits] for hits in proved]
    assert {hits.certainty.kind for hits in scored} == {"scored"}
    assert {hits.certainty.kind for hits in proved} == {"proved"} and proved[0].certainty.compared < 300
    assert [hits[0].id for hits in scored][:1] == ["0"] and "1" not in [hit.id for hit in scored[1]]
    reranked = ranked_hits(model, queries, with_candidates, 3, {}, lambda scores: -scores, 16.0)  # type: ignore[arg-type]
    assert {hits.certainty.kind for hits in reranked} == {"scored"} and "0" not in [hit.id for hit in reranked[0]]
