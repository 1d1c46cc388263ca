"""Joining and starting: the token, absolute places, and another cluster on the same machine."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.cluster import connect as connecting
from raytrain.cluster.connect import connect, placed
from raytrain.config import override, to_yaml
from raytrain.errors import RefusedError, UsageError
from tests.ray_cluster import LocalCluster, run_with_own_ray
from tests.runs import small_run


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Ray settings, and a home of the test's own."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_relative_storage_is_made_absolute_here_and_refused_in_a_job(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bare)
    config = override(small_run(bare), {"storage": "runs"})
    assert placed(config).storage == str(bare / "runs")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UsageError, match="storage=runs is relative"):
        placed(config)


def test_a_job_that_would_write_into_its_own_folder_is_refused(
    bare: Path, no_cluster: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "run.yaml").write_text(to_yaml(override(small_run(bare), {"storage": "runs"})))
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert main(["train", str(bare / "run.yaml"), "--workers", "2"]) == 2
    assert "storage=runs is relative" in capsys.readouterr().err


@pytest.mark.parametrize("address", [None, "somewhere:1"])
def test_no_cluster_without_a_token_is_started_or_joined(
    address: str | None, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(RefusedError, match="RAY_AUTH_MODE is 'disabled'"):
        connect(address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    token = bare / "token"
    token.write_text("0" * 64)
    token.chmod(0o640)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with pytest.raises(RefusedError, match=r"others can read .*token: chmod 600"):
        connect(address)


def test_a_cluster_that_answers_strangers_is_left_again(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    calls: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: calls.append(options["address"]))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("left"))
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.0.0.7:6379"))

    def refuse(address: str) -> None:
        raise RefusedError(address)

    monkeypatch.setattr(connecting, "refuse_open_cluster", refuse)
    with pytest.raises(RefusedError, match="somewhere:1"):
        connect("somewhere:1")
    assert calls == []  # it was shown no token
    with pytest.raises(RefusedError, match=r"10\.0\.0\.7:6379"):
        connect("auto")
    assert calls == ["auto", "left"]
    monkeypatch.setattr(connecting, "refuse_open_cluster", lambda address: None)
    assert connect("somewhere:1") == {"address": "10.0.0.7:6379", "started": False}


OWN = """
import json, os, stat, sys
from pathlib import Path
long = Path(os.environ["TMPDIR"]) / ("x" * 70)  # as a cluster's job folder: too long for the sockets of Ray's processes
long.mkdir()
os.environ["TMPDIR"] = str(long)
from raytrain.cluster.auth_token import refuse_open_cluster
from raytrain.cluster.connect import connect
facts = connect()
import ray
import ray._private.thirdparty
import psutil
from ray.util.state import list_actors

@ray.remote
class Worker:
    def folder(self):
        return ray._private.worker.global_worker.node.get_session_dir_path()

    def actors(self):  # as Ray's own cleaner of placement groups asks
        return len(list_actors())

refuse_open_cluster(facts["address"])  # it asks for the token
worker = Worker.remote()
session = Path(ray.get(worker.folder.remote()))
processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
listening = sorted({c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"})
private = session.parent.parent
print(json.dumps({
    "address": facts["address"],
    "actors": ray.get(worker.actors.remote()),
    "listening": listening,
    "folder": str(private),
    "mode": stat.S_IMODE(private.stat().st_mode),
    "processes": len(processes),
    "longest_socket": max(len(os.fsencode(path)) for path in (session / "sockets").iterdir()),
}))
"""


@pytest.fixture(scope="module")
def own_ray(cluster: LocalCluster) -> dict[str, Any]:
    """What a process tells of the cluster that it started, beside another one, and that has ended with it."""
    assert cluster.nodes  # there is another one
    facts: dict[str, Any] = json.loads(run_with_own_ray(OWN).splitlines()[-1])
    return facts


@pytest.mark.cluster
def test_our_own_ray_listens_on_the_loopback_alone_and_lives_in_a_folder_that_nobody_else_enters(
    own_ray: dict[str, Any],
) -> None:
    assert own_ray["address"].startswith("127.0.0.1:")
    assert own_ray["processes"] > 5
    assert {ip.removeprefix("::ffff:") for ip in own_ray["listening"]} == {"127.0.0.1"}
    folder = Path(own_ray["folder"])
    assert own_ray["mode"] == 0o700 and folder.name.startswith("rtray-")
    assert own_ray["longest_socket"] <= 107
    assert not folder.exists()  # once its process has ended


@pytest.mark.cluster
def test_a_cluster_that_starts_beside_another_is_the_one_that_its_workers_ask(
    cluster: LocalCluster, own_ray: dict[str, Any]
) -> None:
    assert own_ray["address"] != cluster.address
    assert own_ray["actors"] == 1
