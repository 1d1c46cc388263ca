from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from tests.ray_cluster import LocalCluster, shared_cluster


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """Two nodes on this machine, the same ones for every test of the session."""
    for module in ("ray", "optuna", "mlflow"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return shared_cluster()


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's questions to Ray are answered here, and nothing may start it: some of its functions do so unasked."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("this test starts no Ray")

    monkeypatch.setattr(ray, "init", refuse)
    context = SimpleNamespace(
        get_job_id=lambda: "job", get_node_id=lambda: "node", get_assigned_resources=lambda: {"CPU": 1.0}
    )
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr("raytrain.cluster.evaluate.connect", lambda: {})
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address=None: {})
    monkeypatch.setattr("raytrain.cluster.sweep.connect", lambda: {"address": "127.0.0.1:1"})
    monkeypatch.setattr("raytrain.cluster.head.Head.answers", lambda head: True)
    monkeypatch.setattr("raytrain.cluster.resources.live_nodes", lambda: [{"CPU": 2.0}])
