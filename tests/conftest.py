"""Fixtures that many tests share."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from raytrain.data.table import Table
from tests.packages import install_example
from tests.ray_cluster import LocalCluster, shared_cluster
from tests.tables import make_table

if TYPE_CHECKING:
    from tests.distributed.two_ranks import TwoRanks
    from tests.gpu.fake_gpu import FakeGPU


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Modules and tests stay to the end: looking for garbage among their millions of objects takes 8 % of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors as small as those of tests are computed in a third of the time by one thread, on a busy machine."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_commit() -> Iterator[None]:
    """Git is asked once for the commit of this checkout: hundreds of tests train a run, and each run records it."""
    if "raytrain.training.provenance" not in sys.modules:
        yield
        return
    provenance = sys.modules["raytrain.training.provenance"]
    commit, here = provenance.commit, provenance.commit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "commit", lambda root=None: here if root is None else commit(root))
        yield


@pytest.fixture(scope="session", autouse=True)
def fake_gpu_known() -> None:
    """Autograd makes room for the devices that are there at the first backward pass of a process, and for no others."""
    if "torch" in sys.modules:
        from tests.gpu.fake_gpu import available, register

        if available():
            register()


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A small table; tests that write to one make their own."""
    return make_table(tmp_path_factory.mktemp("tables") / "small")


@pytest.fixture(scope="session")
def example_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/raytrain-two-towers as pip installs it: a folder for sys.path."""
    return install_example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real development data; tests that need it skip without it."""
    path = Path(os.environ.get("RAYTRAIN_TEST_DATA", "../shared/data"))
    if not path.is_dir():
        pytest.skip("no real data here; RAYTRAIN_TEST_DATA names its folder")
    return path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an MLflow store that holds nothing. Making one takes seconds: tests copy it."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from raytrain.tracking.store import prepare_store
    from raytrain.tracking.uri import default_uri

    folder = tmp_path_factory.mktemp("store") / "deeper"
    prepare_store(default_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> TwoRanks:
    """What two gloo processes computed, the same ones for every test of the session."""
    from tests.distributed.two_ranks import compute

    return compute(tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="session")
def fake_gpu_available() -> None:
    """Skips where torch lets no Python class stand in for a device."""
    from tests.gpu.fake_gpu import available

    if not available():
        pytest.skip("this torch lets no Python class stand in for a device")


@pytest.fixture
def fake_gpu(fake_gpu_available: None) -> Iterator[FakeGPU]:
    """A GPU of tensors on the CPU, which records what a real one would wait for; entered."""
    from tests.gpu.fake_gpu import FakeGPU

    with FakeGPU() as gpu:
        yield gpu


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
