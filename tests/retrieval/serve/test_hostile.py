"""What the world sends, over HTTP: refused with a 4xx, or told to come back, and the service goes on."""

from __future__ import annotations

import collections
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from raytrain.retrieval import Gallery, Retriever
from raytrain.retrieval.serve import Limits, create_app
from tests.retrieval.serve.clients import connect, head, listening, picture, received
from tests.retrieval.serve.test_pictures import BOMB, HUNDRED_MEGAPIXELS, MORE_THAN_CLAIMED, progressive


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HUNDRED_MEGAPIXELS, 422), (BOMB, 422), (progressive(200), 422), (b"a text that is named .jpg", 422),
        (bytes(17 << 20), 413), (b"", 422), (MORE_THAN_CLAIMED, 200),
    ],
    ids=["100 megapixels", "bomb", "scans", "text", "17 MB", "nothing", "more than it claims"],
)  # fmt: skip
def test_a_hostile_image_is_refused_in_a_moment(client: TestClient, data: bytes, status: int) -> None:
    started = time.monotonic()
    answer = client.post("/search/image", content=data, headers={"content-type": "image/jpeg"})
    assert answer.status_code == status and time.monotonic() - started < 3
    assert status == 200 or set(answer.json()) == {"error"}


def test_a_text_of_five_megabytes_is_refused(client: TestClient) -> None:
    assert client.post("/search", json={"text": "x" * 5_000_000}).status_code == 413
    assert client.get("/healthz", params={"q": "x" * 20_000}).status_code == 431


def test_two_hundred_at_once_are_answered_or_told_to_come_back(retriever: Retriever, images: Gallery) -> None:
    limits = Limits(max_requests=100, max_uploads=4)
    text, upload = json.dumps({"text": "a dog", "k": 1}).encode(), picture()

    def ask(number: int) -> bytes:
        if number % 4:
            request = head("POST", "/search", content_type="application/json", content_length=len(text),
                           connection="close") + text  # fmt: skip
        else:
            request = head("POST", "/search/image", content_type="image/png", content_length=len(upload),
                           connection="close") + upload  # fmt: skip
        with connect(port, request) as connection:
            if number % 10 == 9:
                return b"HTTP/1.1 000"  # without waiting for an answer
            return received(connection)

    with listening(create_app(retriever, images), limits) as port:
        with ThreadPoolExecutor(200) as clients:
            statuses = collections.Counter(answer[9:12] for answer in clients.map(ask, range(200)))
        assert set(statuses) <= {b"200", b"503", b"000"} and statuses[b"200"] >= 10
        assert ask(1).startswith(b"HTTP/1.1 200") and ask(0).startswith(b"HTTP/1.1 200")
