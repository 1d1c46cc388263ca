"""The service of a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
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
