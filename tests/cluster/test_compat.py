"""The private names of Ray that the cluster package uses, held against the Ray that is installed.

A failure here after an upgrade says which function of raytrain/cluster/compat.py to look at, and what it needs.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from raytrain.cluster import compat


def test_the_heads_resource_has_its_name() -> None:
    from ray._common.constants import HEAD_NODE_RESOURCE_NAME

    assert compat.HEAD_NODE == HEAD_NODE_RESOURCE_NAME, (
        "HEAD_NODE: Ray names the head's resource otherwise; drivers of trials would wait for ever for a node with it"
    )


def test_the_dashboards_address_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_DASHBOARD_URL", "http://127.0.0.1:8265")
    try:
        result = compat.dashboard_url()
    except AttributeError as error:
        result = str(error)
    assert result == "127.0.0.1:8265", (
        "dashboard_url: ray._private.worker.get_dashboard_url is gone or answers otherwise; find what tells the "
        "dashboard's host:port after ray.init, or `raytrain doctor` checks no dashboard"
    )


def test_a_cluster_that_is_started_here_can_be_given_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    class Reached(Exception):
        """What starts the processes of a cluster was reached, and starts nothing here."""

    folders: list[Any] = []

    def reached(**parameters: Any) -> None:
        folders.append(parameters.get("temp_dir"))
        raise Reached

    monkeypatch.setattr("ray._private.parameter.RayParams", reached)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(Reached):
        ray.init(address="local", **compat.temp_dir(Path("/tmp/short")))
    assert folders == ["/tmp/short"], "temp_dir: ray.init takes the folder of its files by another argument"


def test_what_is_sent_follows_rays_own_rules(tmp_path: Path) -> None:
    (tmp_path / ".rayignore").write_text("*.bin\n")
    try:
        rules = [compat.ignore_rule(tmp_path, ["skipped"]), *compat.ignore_file_rules(tmp_path)]
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(
            f"ignore_rule, ignore_file_rules: {error}; look for what ray.job_submission lists a working directory by "
            "(packaging.create_package), or a secret that .rayignore leaves out would be counted as sent"
        )
    left_out = {name for name in ("skipped", "a.bin", "a.py") if any(rule(tmp_path / name) for rule in rules)}
    assert left_out == {"skipped", "a.bin"}


def test_what_a_worker_raised_is_inside_rays_wrapper() -> None:
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    own = ValueError("of the worker")
    assert compat.raised_by_worker(UserExceptionWithTraceback(own, "a traceback")) is own, (
        "raised_by_worker: Ray Train keeps a worker's error under another name than _base_exc; without it a refusal or "
        "a NaN would be retried and end with exit code 1"
    )
    assert compat.raised_by_worker(own) is own


def test_a_snapshot_lists_checkpoints_as_ray_writes_them(tmp_path: Path) -> None:
    from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
    from ray.train.v2._internal.execution.checkpoint import checkpoint_manager

    reason = (
        "SNAPSHOT, snapshot_checkpoints: Ray Train keeps its list of checkpoints in another file or form; a run whose "
        "controller was killed could not be resumed, or would lose its list at each resumption"
    )
    assert compat.SNAPSHOT == CHECKPOINT_MANAGER_SNAPSHOT_FILENAME, reason
    states = vars(checkpoint_manager)
    entry, whole = states.get("_TrainingResultState"), states.get("_CheckpointManagerState")
    assert entry is not None and "checkpoint_dir_name" in entry.__annotations__, reason
    assert whole is not None and "checkpoint_results" in whole.__annotations__, reason
    file = tmp_path / compat.SNAPSHOT
    file.write_text(json.dumps({"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_00000003"}]}))
    assert compat.snapshot_checkpoints(file) == ["checkpoint_00000003"]
    for half in ("", "{", "[]", '{"checkpoint_results": [{}]}'):
        file.write_text(half)
        assert compat.snapshot_checkpoints(file) is None


def test_an_error_that_ray_gave_another_shape_is_left_as_it_is() -> None:
    error = RuntimeError("x")
    error._base_exc = SimpleNamespace()  # type: ignore[attr-defined]
    assert compat.raised_by_worker(error) is error
    assert "_base_exc" in inspect.getsource(compat.raised_by_worker)


def test_a_cluster_can_be_kept_to_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import ray_constants, services

    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    monkeypatch.setattr("ray._private.worker._global_node", None)
    compat.keep_to_loopback()
    assert (ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, services.get_node_ip_address()) == (
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "127.0.0.1",
    ), "keep_to_loopback: Ray's servers listen elsewhere; see which variable has them on 127.0.0.1"  # fmt: skip


def test_a_head_says_that_it_lives_under_the_name_that_strangers_ask_for() -> None:
    from ray.core.generated import gcs_service_pb2

    _, service, method = compat.ALIVE.split("/")
    package, _, name = service.rpartition(".")
    services = gcs_service_pb2.DESCRIPTOR
    assert services.package == package and method in services.services_by_name[name].methods_by_name, (
        "ALIVE: no such call; take another one that a head answers to whoever may ask it anything"
    )


def test_a_replica_of_serve_can_be_kept_from_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = pytest.importorskip("ray.serve._private.replica", reason="Ray Serve is not installed")
    monkeypatch.setattr(replica, "add_port_to_grpc_server", replica.add_port_to_grpc_server)  # is put back
    compat.open_no_replica_port()
    assert replica.add_port_to_grpc_server("server", "[::]:0") == 0
    source = inspect.getsource(replica)
    assert source.count("add_port_to_grpc_server(self._server") == 1 and "add_insecure_port" not in source, (
        "open_no_replica_port: replicas open their port in another way; it unpickles what anybody sends"
    )
