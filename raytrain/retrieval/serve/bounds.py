"""Requests within bounds: how many at once, how large, how slow. ASGI middleware, which reads each body as it comes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.replies import Refusal, busy, unread

OTHER_BODIES_BYTES = 4096
"""Of a request that has no business with a body, and of a login."""
UPLOAD = "/search/image"


class Bounds:
    """Hands the app requests whose bodies are whole, and refuses the others.

    Args:
        app: that answers.
        limits: of the service.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.requests, self.uploads = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check_head(scope)
            with self._counted(scope):
                body = await self._body(scope, receive)
                await self.app(scope, _replayed(body, receive), send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)

    def _check_head(self, scope: Scope) -> None:
        """Raises Refusal for a long head: h11 bounds only one that it has not yet received to its end."""
        parts = [scope.get("raw_path") or b"", scope["query_string"], *itertools.chain(*scope["headers"])]
        if sum(map(len, parts)) > self.limits.max_head_bytes:
            what = f"the request's line and headers have more than {self.limits.max_head_bytes:,} bytes"
            raise unread(Refusal(431, what))

    @contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        """Counts a request while it is in work; Refusal where there are too many."""
        is_upload = _path(scope) == UPLOAD
        if self.requests >= self.limits.max_requests:
            raise unread(busy("too many requests at once"))
        if is_upload and self.uploads >= self.limits.max_uploads:
            raise unread(busy("too many images at once"))
        self.requests += 1
        self.uploads += is_upload
        try:
            yield
        finally:
            self.requests -= 1
            self.uploads -= is_upload

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body; Refusal where it says that it is too large, is so, or takes too long."""
        largest = self._largest_body(scope)
        too_large = unread(Refusal(413, f"the request has more than {largest:,} bytes"))
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 12 or int(declared) > largest:
            raise too_large
        parts, received = list[bytes](), 0
        try:
            async with asyncio.timeout(self.limits.upload_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the request ended before its body")  # nobody reads this
                    parts.append(message.get("body", b""))
                    received += len(parts[-1])
                    if received > largest:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            slow = f"the request took longer than {self.limits.upload_s:g} s to arrive"
            raise unread(Refusal(408, slow)) from None

    def _largest_body(self, scope: Scope) -> int:
        sizes = {"/search": self.limits.max_json_bytes, UPLOAD: self.limits.max_image_bytes}
        return sizes.get(_path(scope), OTHER_BODIES_BYTES) if scope["method"] == "POST" else OTHER_BODIES_BYTES


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once, and then what comes after it: that the client has gone."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
