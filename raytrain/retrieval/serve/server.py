"""The service over uvicorn on this machine: where it listens, how it ends."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

import uvicorn

from raytrain.errors import UsageError
from raytrain.retrieval.serve.connection import bounded_connection
from raytrain.retrieval.serve.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host name or address; UsageError where it is none."""
    return all(ip_address(address).is_loopback for address in _addresses(host))


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to a host and port, on which nobody listens yet; port 0 takes a free one.

    Raises:
        UsageError: no such host, or its port is taken.
    """
    address = _addresses(host)[0]
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart the port is not waited for
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"{host}, port {port}: {error.strerror}; give another --port or --host") from None
    return listener


def url_of(host: str, port: int) -> str:
    """What a browser on this machine opens, or elsewhere where the host has a name or an address of its own."""
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1" if host != "::" else "::1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(app: ASGIApp, listener: socket.socket, limits: Limits, listens: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; requests that are in work then end first.

    Args:
        app: that answers.
        listener: as `listening_socket` gives it.
        limits: of connections.
        listens: called once it answers.
    """
    with _signals_that_end():
        make_server(app, limits, listens).run(sockets=[listener])


def make_server(app: ASGIApp, limits: Limits, listens: Callable[[], None]) -> uvicorn.Server:
    """The server of `serve`, which leaves signals alone in threads other than the main one."""
    config = uvicorn.Config(
        app,
        http=bounded_connection(limits),
        h11_max_incomplete_event_size=limits.max_head_bytes,
        ws="none",
        lifespan="on",
        log_level="error",  # every broken request would be a line
        access_log=False,
        proxy_headers=False,  # anybody can write them
        server_header=False,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=int(limits.shutdown_s),
    )
    return _Server(config, listens)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listens: Callable[[], None]) -> None:
        super().__init__(config)
        self.listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.listens()


@contextlib.contextmanager
def _signals_that_end() -> Iterator[None]:
    """Inside, SIGTERM and SIGINT end the server and nothing else: uvicorn raises them again when it has ended."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _addresses(host: str) -> list[str]:
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "no host name"
        raise UsageError(f"--host {host}: {what}; give an address of this machine, such as 127.0.0.1") from None
