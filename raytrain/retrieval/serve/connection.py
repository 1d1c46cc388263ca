"""HTTP connections that end when a client lets the service wait: uvicorn itself waits for headers without a limit."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from raytrain.retrieval.serve.limits import Limits


def bounded_connection(limits: Limits) -> type[H11Protocol]:
    """The kind of connection that uvicorn makes for each client.

    Of a connection, the time until a request's headers are whole is bounded, and so is that of a request with its
    answer, which a client may be slow to read. Between two requests uvicorn's own time-out counts.
    """

    class BoundedConnection(H11Protocol):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.deadline: asyncio.TimerHandle | None = None
            self.waits_for_head = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                transport.abort()
            else:
                self.await_head()

        def data_received(self, data: bytes) -> None:
            in_work = self.in_work()
            super().data_received(data)
            if self.in_work() and not in_work:
                self.start(limits.connection_s)
                self.waits_for_head = False
            elif not self.in_work() and not self.waits_for_head:
                self.await_head()  # the first bytes of a further request

        def on_response_complete(self) -> None:
            self.waits_for_head = False
            super().on_response_complete()
            if self.in_work():  # a request that was sent before the last one was answered
                self.start(limits.connection_s)

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop()
            super().connection_lost(exc)

        def in_work(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def await_head(self) -> None:
            self.waits_for_head = True
            self.start(limits.head_s)

        def start(self, seconds: float) -> None:
            self.stop()
            self.deadline = self.loop.call_later(seconds, self.expire)

        def expire(self) -> None:
            unsent = self.transport.get_write_buffer_size()  # an answer that is complete to uvicorn, and nobody reads
            if self.in_work() or self.waits_for_head or unsent:
                self.transport.abort()

        def stop(self) -> None:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None

    return BoundedConnection
