"""Searches by text, image and both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval import Item, Retriever
from raytrain.scoring.embed import score


def test_hits_are_the_highest_of_the_methods_own_scores_with_their_views(retriever: Retriever) -> None:
    gallery, query = retriever.gallery(), retriever.encode_text(["a dog runs"])
    scores = score(retriever.model, query, gallery.embeddings)[0]
    hits = retriever.search("a dog runs", k=3)
    best = scores.argsort(descending=True, stable=True)[:3].tolist()
    assert [hit.position for hit in hits] == best and [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == pytest.approx(scores[best].tolist(), abs=1e-6)
    cosines = torch.einsum("d,gkd->gk", query[0], gallery.embeddings)
    assert [hit.item_view for hit in hits] == cosines.argmax(1)[best].tolist()
    assert {hit.query_view for hit in hits} == {None}


def test_images_find_texts_and_images(retriever: Retriever, pictures: Table) -> None:
    file = Path(str(pictures.image_root)) / "3.jpg"
    texts = retriever.gallery(of="texts")
    hits = retriever.search(image=file, gallery=texts, k=2)
    scores = score(retriever.model, texts.embeddings, retriever.encode_image([file]))[:, 0]
    assert [hit.position for hit in hits] == scores.argsort(descending=True, stable=True)[:2].tolist()
    by_file, by_item = retriever.search(image=file, k=16), retriever.search(image=Item("3.jpg"), k=16)
    assert len(by_file) == 16 and [hit.id for hit in by_item] == [h.id for h in by_file if h.id != "3.jpg"]


def test_an_image_with_a_text_is_answered_by_composed_runs_alone(
    retriever: Retriever, composed_retriever: Retriever, triplets: Table
) -> None:
    file = Path(str(triplets.image_root)) / "val-1.jpg"
    hits = composed_retriever.search("in red", image=file, k=4)
    query = composed_retriever.encode_composed([file], ["in red"])
    scores = score(composed_retriever.model, query, composed_retriever.gallery().embeddings)[0]
    assert [hit.position for hit in hits] == scores.argsort(descending=True, stable=True)[:4].tolist()
    assert "val-1" not in [hit.id for hit in composed_retriever.search("in red", image=Item("val-1"), k=12)]
    with pytest.raises(UsageError, match="needs a run of composed retrieval"):
        retriever.search("a dog", image=file)


def test_what_cannot_be_asked_is_said(retriever: Retriever) -> None:
    for query, message in (
        ({}, "nothing to search by"), ({"text": "a", "k": 0}, "k is 0"), ({"image": Item("no")}, "no item 'no'"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            retriever.search(**query)  # type: ignore[arg-type]


def test_galleries_of_a_callers_own(retriever: Retriever, pictures: Table) -> None:
    gallery = retriever.gallery_of_texts(["a dog", "a cat"])
    assert {hit.text for hit in retriever.search(image=Item("1.jpg"), gallery=gallery)} == {"a dog", "a cat"}
    file = str(Path(str(pictures.image_root)) / "3.jpg")
    assert [hit.id for hit in retriever.search("a dog", gallery=retriever.gallery_of_images([file]))] == [file]
