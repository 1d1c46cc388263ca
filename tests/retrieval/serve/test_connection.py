"""Clients that let the service wait, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from raytrain.retrieval.serve.bounds import Bounds
from raytrain.retrieval.serve.limits import Limits
from tests.retrieval.serve.clients import connect, head, listening, received

LIMITS = Limits(
    head_s=0.3, idle_s=1, upload_s=0.3, connection_s=0.8, max_connections=8, max_head_bytes=2048, max_image_bytes=999
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await Request(scope, receive).body()
        answer = b"x" * 50_000_000 if scope["path"] == "/large" else b"hello"
        await PlainTextResponse(answer)(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(Bounds(app, LIMITS), LIMITS) as port:
        yield port


@pytest.mark.parametrize(
    "begun", [b"", b"GET", head("GET", "/")[:-2], head("GET", "/", connection="keep-alive") + b"G"]
)
def test_a_client_that_sends_no_whole_request_is_left(port: int, begun: bytes) -> None:
    started = time.monotonic()
    with connect(port, begun) as connection:
        answer = received(connection)
    assert time.monotonic() - started < 3
    assert answer.count(b"HTTP/1.1 200") == (b"keep-alive" in begun)


def test_a_slow_upload_ends_with_408_and_an_endless_one_with_413(port: int) -> None:
    with connect(port, head("POST", "/search/image", content_length=500) + b"x") as connection:
        assert received(connection).startswith(b"HTTP/1.1 408")
    with connect(port, head("POST", "/search/image", transfer_encoding="chunked")) as connection:
        for _ in range(100):
            try:
                connection.sendall(b"a\r\n0123456789\r\n")
            except OSError:
                break
        assert received(connection)[:12] in (b"HTTP/1.1 413", b"")


def test_a_client_that_does_not_read_its_answer_is_left(port: int) -> None:
    with connect(port, head("GET", "/large")) as connection:
        time.sleep(1.2)
        assert len(received(connection)) < 50_000_000


def test_headers_and_connections_are_bounded(port: int) -> None:
    with connect(port, head("GET", "/", cookie="x" * 4000)) as connection:
        assert received(connection).startswith(b"HTTP/1.1 431")
    with connect(port, head("GET", "/", cookie="x" * 4000)[:-2]) as connection:
        assert received(connection).startswith(b"HTTP/1.1 400")
    connections = [connect(port) for _ in range(12)]
    try:
        connections[-1].settimeout(0.2)
        assert received(connections[-1]) == b""
    finally:
        for connection in connections:
            connection.close()
    time.sleep(0.05)
    with connect(port, head("GET", "/", connection="close")) as connection:
        assert received(connection).endswith(b"hello")


def test_requests_on_one_connection_are_answered_in_turn(port: int) -> None:
    with connect(port, head("GET", "/") + head("GET", "/", connection="close")) as connection:
        assert received(connection).count(b"hello") == 2
