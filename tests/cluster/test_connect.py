"""Joining and starting: the token, absolute places, and another cluster on the same machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raytrain.cluster.connect import ensure_token, placed
from raytrain.config import override
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


def test_a_new_token_is_readable_by_its_owner_alone_and_is_kept(bare: Path) -> None:
    ensure_token()
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    token = path.read_text()
    assert path.is_relative_to(bare)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 32
    assert os.environ["RAY_AUTH_MODE"] == "token"
    ensure_token()
    assert path.read_text() == token


def test_an_open_cluster_is_never_started(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(RefusedError, match="RAY_AUTH_MODE is 'disabled'"):
        ensure_token()


def test_a_relative_storage_is_made_absolute_here_and_refused_in_a_job(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bare)
    config = override(small_run(bare), {"storage": "runs"})
    assert placed(config).storage == str(bare / "runs")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UsageError, match="storage=runs is relative"):
        placed(config)


BESIDE_ANOTHER = """
from raytrain.cluster.connect import connect
address = connect()["address"]
import ray
from ray.util.state import list_actors

@ray.remote
class Asking:  # as Ray's own cleaner of placement groups does
    def actors(self):
        return len(list_actors())

print(address, ray.get(Asking.remote().actors.remote()))
"""


@pytest.mark.cluster
def test_a_cluster_that_starts_beside_another_is_the_one_that_its_workers_ask(cluster: LocalCluster) -> None:
    assert cluster.nodes  # there is another one
    printed = run_with_own_ray(BESIDE_ANOTHER)
    address, actors = printed.split()
    assert address != cluster.address
    assert actors == "1"
