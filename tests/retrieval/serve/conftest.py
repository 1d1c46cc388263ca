"""The service of a tiny run, in process."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from raytrain.data.table import Table
from raytrain.retrieval import Gallery, Retriever

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from raytrain.retrieval.serve.searcher import Searcher

collect_ignore_glob = [] if importlib.util.find_spec("fastapi") else ["test_*.py"]  # without the extra `serve`


@pytest.fixture(scope="session")
def images(retriever: Retriever) -> Gallery:
    return retriever.gallery()


@pytest.fixture(scope="session")
def captions(retriever: Retriever) -> Gallery:
    return retriever.gallery(of="texts")


@pytest.fixture(scope="session")
def searcher(retriever: Retriever, images: Gallery, captions: Gallery) -> Searcher:
    from raytrain.retrieval.serve.searcher import Searcher

    return Searcher(retriever, images, captions)


@pytest.fixture(scope="session")
def client(retriever: Retriever, images: Gallery, captions: Gallery) -> Iterator[TestClient]:
    """A client on this machine, of a service without a token."""
    from raytrain.retrieval.serve import create_app
    from tests.retrieval.serve.clients import client_of

    with client_of(create_app(retriever, images, captions, run="tiny")) as client:
        yield client


@pytest.fixture(scope="session")
def composed_client(composed_retriever: Retriever, triplets: Table) -> Iterator[TestClient]:
    from raytrain.retrieval.serve import create_app
    from tests.retrieval.serve.clients import client_of

    with client_of(create_app(composed_retriever, composed_retriever.gallery(), run="composed")) as client:
        yield client
