"""Clients of the service: in process, over sockets of the test's own, and images that they send."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.server import listening_socket, make_server

HOST = "127.0.0.1:8000"


def client_of(app: ASGIApp, **headers: str) -> TestClient:
    return TestClient(app, base_url=f"http://{HOST}", headers=headers, raise_server_exceptions=False)


@contextlib.contextmanager
def listening(app: ASGIApp, limits: Limits) -> Iterator[int]:
    """The port of this machine where uvicorn answers, in a thread."""
    ready = threading.Event()
    server = make_server(app, limits, ready.set)
    with listening_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            assert ready.wait(10)
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(data)
    return connection


def received(connection: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(method: str, path: str, **headers: Any) -> bytes:
    """A request's line and headers; "_" stands for "-" in their names."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def picture(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (40, 32), **options: Any) -> bytes:
    """The bytes of a noisy picture."""
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
