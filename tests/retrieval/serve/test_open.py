"""The service of a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.serve.open import open_service
from tests.retrieval.serve.clients import client_of


def test_a_run_is_served_with_the_split_that_was_named(run: Path) -> None:
    with client_of(open_service(run, split="val", device="cpu")) as client:
        answer = client.post("/search", json={"text": "a dog", "k": 50}).json()
        assert {result["split"] for result in answer["results"]} == {"val"} and answer["gallery"] == 4
        assert client.get("/thumbnail/0.jpg").status_code == 404  # of train
        assert run.name in client.get("/").text and str(run) not in client.get("/").text


def test_reranking_that_nobody_searched_is_refused_before_it_listens(run: Path, composed_run: Path) -> None:
    with pytest.raises(UsageError, match="has no settings of inductive re-ranking"):
        open_service(run, rerank=True, device="cpu")
    with pytest.raises(UsageError, match="queries of this run are composed"):
        open_service(composed_run, rerank=True, device="cpu")


def test_an_export_is_served_with_the_images_stored_with_it(with_gallery: Path, retriever: Retriever) -> None:
    """It knows no image files: thumbnails, searches by an image of the gallery, and captions are not offered."""
    with client_of(open_service(with_gallery, device="cpu")) as client:
        answer = client.post("/search", json={"text": "a dog"}).json()
        assert [result["id"] for result in answer["results"]] == [hit.id for hit in retriever.search("a dog")]
        assert not any(result["image"] for result in answer["results"])
        assert client.get("/thumbnail/0.jpg").status_code == 404
        assert client.post("/search", json={"item": "0.jpg"}).status_code == 422
        assert client.post("/search", json={"item": "0.jpg", "to": "texts"}).status_code == 422
        assert with_gallery.name in client.get("/").text
