"""Bodies and numbers of requests, against apps that take whatever comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from raytrain.retrieval.serve.bounds import Bounds
from raytrain.retrieval.serve.limits import Limits

LIMITS = Limits(max_requests=3, max_uploads=1, max_json_bytes=10, max_image_bytes=20, upload_s=0.05)


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"12345"


async def slow() -> AsyncIterator[bytes]:
    yield b"1"
    await asyncio.sleep(60)


async def request(app: Any, path: str, parts: Any, **headers: str) -> tuple[int, dict[str, str], bytes, int]:
    """(status, headers, body, bytes that were read) of a POST."""
    read, sent = 0, list[Message]()
    parts = parts if hasattr(parts, "__anext__") else None or _as_parts(parts)

    async def receive() -> Message:
        nonlocal read
        try:
            part = await anext(parts)
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
        read += len(part)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": "POST", "path": path, "headers": encoded, "query_string": b""}, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]), read


async def _as_parts(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(("path", "largest"), [("/search", 10), ("/search/image", 20), ("/healthz", 4096)])
def test_bodies_up_to_their_limit_pass_and_larger_ones_are_not_read_on(path: str, largest: int) -> None:
    app = Bounds(length, LIMITS)
    assert asyncio.run(request(app, path, [b"x" * largest]))[::2] == (200, str(largest).encode())
    status, headers, _, read = asyncio.run(request(app, path, endless()))
    assert (status, headers["connection"]) == (413, "close") and read <= largest + 5
    status, _, _, read = asyncio.run(request(app, path, endless(), content_length=str(largest + 1)))
    assert (status, read) == (413, 0)
    for length_header in ("-1", "1e3", "9" * 30, "²"):
        assert asyncio.run(request(app, path, [b"x"], content_length=length_header))[0] == 413


def test_a_slow_body_is_given_up() -> None:
    app = Bounds(length, LIMITS)
    assert asyncio.run(request(app, "/search", slow()))[0] == 408
    assert (app.requests, app.uploads) == (0, 0)


def test_requests_beyond_the_number_are_told_to_come_back() -> None:
    goes_on = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await goes_on.wait()
        await length(scope, receive, send)

    async def ask() -> tuple[list[int], list[int], str]:
        app = Bounds(waits, LIMITS)
        uploads = [asyncio.create_task(request(app, "/search/image", [b"x"])) for _ in range(2)]
        others = [asyncio.create_task(request(app, "/search", [b"x"])) for _ in range(3)]
        await asyncio.sleep(0.01)
        goes_on.set()
        answers = await asyncio.gather(*others)
        return (
            [answer[0] for answer in await asyncio.gather(*uploads)],
            [a[0] for a in answers],
            answers[-1][1]["retry-after"],
        )

    assert asyncio.run(ask()) == ([200, 503], [200, 200, 503], "1")
