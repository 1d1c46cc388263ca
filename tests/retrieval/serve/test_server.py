"""Where the service listens, and how it ends."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from starlette.testclient import TestClient

from raytrain.errors import UsageError
from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.server import is_loopback, listening_socket, serve, url_of


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("127.1.2.3", True), ("0.0.0.0", False)])
def test_only_loopback_addresses_go_without_a_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "256.1.1.1"])
def test_a_host_that_is_none_is_an_error_in_one_line(host: str) -> None:
    with pytest.raises(UsageError, match="give an address of this machine"):
        is_loopback(host)


def test_a_port_that_is_taken_is_an_error_in_one_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(UsageError, match="in use; give another --port"),
    ):
        listening_socket("127.0.0.1", other.getsockname()[1])


def test_urls_can_be_opened() -> None:
    assert url_of("127.0.0.1", 80) == "http://127.0.0.1:80/" and url_of("::1", 1) == "http://[::1]:1/"
    assert url_of("0.0.0.0", 1) == "http://127.0.0.1:1/"


def test_sigterm_ends_the_service_and_not_the_process(client: TestClient) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with listening_socket("127.0.0.1", 0) as listener:
        serve(client.app, listener, Limits(), lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) == handler
