"""What `raytrain doctor` finds wrong, where each thing is wrong by itself."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from raytrain.cluster.doctor.check import Check
from raytrain.cluster.doctor.doctor import check_storage, dashboard, doctor, token_file, tracking
from raytrain.errors import RefusedError, UsageError


def test_a_token_that_others_may_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert token_file().state == "absent"
    path.write_text("0" * 64)
    path.chmod(0o644)
    assert token_file().state == "refused"
    path.chmod(0o600)
    assert token_file().state == "ok"


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100e9, 99e9, 1e9))
    check = check_storage(tmp_path)
    assert check.state == "failed" and "1.0 GB free" in check.found


def test_a_sqlite_file_does_not_serve_several_hosts(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    assert tracking(tmp_path, None).state == "ok"
    check = tracking(tmp_path, None, hosts=3)
    assert check.state == "failed" and "serves one host, and the cluster has 3" in check.found


def test_the_dashboard_on_the_heads_loopback_is_asked_on_the_head_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from raytrain.cluster.doctor import doctor as module

    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: {})
    monkeypatch.setattr("raytrain.cluster.resources.live_nodes", lambda: [{"CPU": 2.0}])
    monkeypatch.setattr(module.compat, "dashboard_url", lambda: "127.0.0.1:8265")
    opened_addresses: list[str | None] = []
    monkeypatch.setattr(module, "dashboard", lambda url: opened_addresses.append(url) or Check("dashboard", "ok", ""))
    monkeypatch.setattr(module, "on_head", lambda: False)
    assert (module.cluster("head:6379")[-1].state, opened_addresses) == ("absent", [])
    monkeypatch.setattr(module, "on_head", lambda: True)
    assert (module.cluster("head:6379")[-1].state, opened_addresses) == ("ok", ["127.0.0.1:8265"])


def test_one_check_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> None:
        raise UsageError("no Ray cluster could be joined")

    def open_to_all(address: str) -> None:
        raise RefusedError("the cluster asks for no token")

    monkeypatch.setattr("raytrain.cluster.connect.connect", refuse)
    checks = {check.name: check for check in doctor(tmp_path, "nowhere:1", "sqlite:///relative.db")}
    assert (checks["cluster"].state, checks["mlflow"].state) == ("failed", "failed")
    assert checks["storage"].state == "ok" and checks["torch"].found == torch.__version__
    monkeypatch.setattr("raytrain.cluster.connect.connect", open_to_all)
    (joined,) = [check for check in doctor(tmp_path, "nowhere:1", "sqlite:///relative.db") if check.name == "cluster"]
    assert joined.state == "refused" and "asks for no token" in joined.found
    alone = {check.name: check for check in doctor(tmp_path)}
    assert alone["cluster"].state == "absent" and "raytrain doctor --address auto" in alone["cluster"].fix


def test_a_dashboard_that_answers_strangers_is_refused() -> None:
    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    try:
        for status, state in ((200, "refused"), (401, "ok"), (500, "failed")):
            Handler.status = status
            assert dashboard(address).state == state
    finally:
        server.shutdown()
        server.server_close()
    assert dashboard(address).state == "failed"
    assert dashboard(None).state == "absent"
