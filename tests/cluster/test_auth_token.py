"""The token: made for its owner alone, refused where others can read it; a cluster that asks for none is refused."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from raytrain.cluster import compat
from raytrain.cluster.auth_token import (
    make_token,
    refuse_open_cluster,
    refuse_open_dashboard,
    token_path,
    use_token,
)
from raytrain.errors import RefusedError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Ray settings, and a home of the test's own."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_new_token_is_readable_by_its_owner_alone_and_is_kept(bare: Path) -> None:
    make_token()
    path = token_path()
    token = path.read_text()
    assert path.is_relative_to(bare)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 32
    assert os.environ["RAY_AUTH_MODE"] == "token"
    make_token()
    assert path.read_text() == token


@pytest.mark.parametrize("use", [make_token, use_token])
def test_an_open_cluster_is_never_started_or_joined(use: Any, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(RefusedError, match="RAY_AUTH_MODE is 'disabled'"):
        use()


@pytest.mark.parametrize("use", [make_token, use_token])
@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
@pytest.mark.parametrize("named", [True, False])
def test_a_token_that_others_can_read_is_refused(
    named: bool, mode: int, refused: bool, use: Any, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bare / ("t" if named else ".raytrain/ray_auth_token" if use is make_token else ".ray/auth_token")
    path.parent.mkdir(exist_ok=True)
    path.write_text("0" * 64)
    path.chmod(mode)
    if named:
        (bare / "link").symlink_to(path)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(bare / "link"))
    if not refused:
        use()
        return
    with pytest.raises(RefusedError, match="others can read"):
        use()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "in the environment")  # then Ray reads no file
    use()


@pytest.fixture
def head() -> Iterator[tuple[str, dict[str, Any]]]:
    """A head at an address, that answers strangers or refuses them as its settings say."""
    grpc = pytest.importorskip("grpc", reason="Ray is not installed")
    settings: dict[str, Any] = {"open": False, "asked": []}

    class Answers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: Any) -> Any:
            settings["asked"].append(call.method)

            def answer(request: bytes, context: Any) -> bytes:
                if not settings["open"]:
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
                return b""

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=(Answers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", settings
    server.stop(None)


def test_a_cluster_that_answers_strangers_is_refused(head: tuple[str, dict[str, Any]]) -> None:
    address, settings = head
    refuse_open_cluster(address)
    settings["open"] = True
    with pytest.raises(RefusedError, match="asks for no token: anyone who reaches it runs code on it"):
        refuse_open_cluster(address)
    assert settings["asked"] == [compat.ALIVE] * 2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b'{"authentication_mode": "disabled"}', True), (b'{"authentication_mode": "token"}', False), (b"[]", False),
        (b"<html>", False), (b"", False),
    ],
)  # fmt: skip
def test_a_dashboard_that_asks_for_no_token_is_refused(body: bytes, refused: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/authentication_mode" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        if refused:
            with pytest.raises(RefusedError, match="asks for no token"):
                refuse_open_dashboard(address)
        else:
            refuse_open_dashboard(address)
    finally:
        server.shutdown()
        server.server_close()
    refuse_open_dashboard(address)  # nothing answers there: whoever asks next says so
