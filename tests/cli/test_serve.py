"""What `serve` prints and asks for; serving itself is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from raytrain.cli.main import main


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What the service was opened with; it listens, and ends."""
    calls: list[dict[str, Any]] = []

    def open_service(*given: Any, **more: Any) -> str:
        calls.append({"given": given, **more})
        return "app"

    def serve(app: Any, listener: Any, limits: Any, listens: Callable[[], None]) -> None:
        calls[-1]["port"] = listener.getsockname()[1]
        listens()

    monkeypatch.setattr("raytrain.retrieval.serve.open.open_service", open_service)
    monkeypatch.setattr("raytrain.retrieval.serve.server.serve", serve)
    monkeypatch.setenv("HOME", str(tmp_path))
    return calls


def test_json_is_printed_once_it_listens(opened: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "runs/a", "--table", "t", "--split", "val", "--port", "0", "--rerank", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"url": f"http://127.0.0.1:{opened[0]['port']}/", "token_file": None, "run": "runs/a"}
    assert opened[0]["given"] == ("runs/a", "t", "val") and opened[0]["rerank"]
    assert opened[0]["access"].token is None


def test_beyond_this_machine_a_token_is_made_and_not_printed(
    opened: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["serve", "runs/a", "--host", "0.0.0.0", "--port", "0", "--name", "Photos.example.org"]) == 0
    printed = capsys.readouterr().out
    path = tmp_path / ".raytrain" / "serve_token"
    access = opened[0]["access"]
    assert path.read_text() == access.token and path.stat().st_mode & 0o077 == 0
    assert str(path) in printed and access.token not in printed
    assert access.allows_host("photos.example.org:80") and not access.allows_host("evil.example")


def test_a_token_file_of_ones_own_is_asked_for_on_loopback_too(opened: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.touch(mode=0o600)
    path.write_text("t" * 24 + "\n")
    assert main(["serve", "runs/a", "--port", "0", "--token-file", str(path)]) == 0
    assert opened[0]["access"].token == "t" * 24
    path.chmod(0o640)
    assert main(["serve", "runs/a", "--port", "0", "--token-file", str(path)]) == 4


def test_a_cluster_always_asks_for_the_token(
    opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    calls: list[dict[str, Any]] = []

    def serve_on_ray(*given: Any, **more: Any) -> None:
        calls.append({"given": given, **more})
        more["listens"]()

    monkeypatch.setattr("raytrain.cluster.serve.serve_on_ray", serve_on_ray)
    assert main(["serve", "runs/a", "--cluster", "--replicas", "3", "--port", "81", "--json"]) == 0
    assert calls[0]["access"].token and calls[0]["replicas"] == 3 and not opened
    assert json.loads(capsys.readouterr().out)["url"] == "http://127.0.0.1:81/"
