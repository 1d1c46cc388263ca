from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from raytrain.config import override, to_yaml
from search_spaces import SPACES
from tests.cluster.in_process import Place, TrainsHere, honest, trials_here
from tests.ray_cluster import LocalCluster, shared_cluster
from tests.small_runs import small_run


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
    monkeypatch.setattr("raytrain.sweeps.sweep.connect", lambda: {"address": "127.0.0.1:1"})
    monkeypatch.setattr("raytrain.sweeps.head_monitor.HeadMonitor.answers", lambda head: True)
    monkeypatch.setattr("raytrain.cluster.resources.live_nodes", lambda: [{"CPU": 2.0}])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, no_cluster: None, tmp_path: Path) -> Iterator[Place]:
    """Where `raytrain sweep honest` runs in this process, from its command line down to the loop."""
    from ray.train import UserCallback

    monkeypatch.setitem(SPACES, "honest", honest)
    monkeypatch.setattr("raytrain.sweeps.sweep.run_trials", trials_here)
    monkeypatch.setattr("ray.train.torch.TorchTrainer", TrainsHere)
    monkeypatch.setattr("ray.train.torch.get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr("ray.train.report", lambda *given, **more: None)
    monkeypatch.setattr("ray.tune.report", lambda *given, **more: None)
    monkeypatch.setattr("ray.tune.integration.ray_train.TuneReportCallback", UserCallback)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    place = Place(tmp_path)
    (tmp_path / "run.yaml").write_text(to_yaml(override(small_run(tmp_path), {"optim.max_steps": 1})))
    yield place
    dist.destroy_process_group()
