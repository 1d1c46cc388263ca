"""The service on Ray Serve, whose calls are stand-ins: how it is deployed, what it refuses, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray.serve", reason="Ray Serve is not installed")
pytest.importorskip("fastapi", reason="needs the extra `serve`")

from raytrain.cluster import compat
from raytrain.cluster.serve import NAME, _only_service, deployment_options, serve_on_ray
from raytrain.errors import RaytrainError, UsageError
from raytrain.retrieval.serve import Access, Limits


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Ray Serve without a cluster; `calls` are made, `applications` run there, `error` is raised by `run`."""
    import ray

    state = SimpleNamespace(calls=[], applications={}, error=None, gpus=0.0)

    def run(application: Any, **more: Any) -> None:
        state.calls.append(("run", application, more))
        if state.error:
            raise state.error

    monkeypatch.setattr("raytrain.cluster.serve.connect", lambda: {})
    monkeypatch.setattr("raytrain.cluster.serve._only_service", contextlib.nullcontext)
    monkeypatch.setattr("raytrain.cluster.serve.model_folder", lambda folder: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": state.gpus})
    monkeypatch.setattr(ray.serve, "status", lambda: SimpleNamespace(applications=state.applications))
    monkeypatch.setattr(ray.serve, "start", lambda **more: state.calls.append(("start", more)))
    monkeypatch.setattr(ray.serve, "run", run)
    monkeypatch.setattr(ray.serve, "shutdown", lambda: state.calls.append(("shutdown",)))
    return state


def serve_here(**more: Any) -> None:
    settings: dict[str, Any] = {
        "rerank": False, "device": None, "access": Access("t" * 32), "limits": Limits(), "host": "127.0.0.1",
        "port": 8000, "replicas": 2, "listens": lambda: os.kill(os.getpid(), signal.SIGTERM), **more,
    }  # fmt: skip
    serve_on_ray(settings.pop("run", "runs/a"), None, None, **settings)


def test_requests_in_work_and_waiting_are_bounded() -> None:
    options = deployment_options(Limits(max_requests=7), 3, True)
    assert (options["max_ongoing_requests"], options["max_queued_requests"], options["num_replicas"]) == (7, 7, 3)
    assert options["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 1}


def test_it_listens_where_it_is_told_until_sigterm(serve: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(compat, "open_no_replica_port", lambda: opened.append("no port"))
    monkeypatch.setattr("raytrain.retrieval.serve.open.open_service", lambda *a, **more: opened.append((a, more)))
    handler = signal.getsignal(signal.SIGTERM)
    serve_here()
    assert [call[0] for call in serve.calls] == ["start", "run", "shutdown"]
    assert serve.calls[0][1] == {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1", "port": 8000}}
    assert signal.getsignal(signal.SIGTERM) == handler
    assert serve.calls[1][2] == {"name": NAME, "route_prefix": "/"}
    assert not opened  # only a replica opens the service


@pytest.mark.parametrize(("gpus", "device", "takes"), [(2.0, None, True), (1.0, None, False), (2.0, "cpu", False)])
def test_replicas_take_gpus_where_there_is_one_for_each(
    serve: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, gpus: float, device: str | None, takes: bool
) -> None:
    wanted: list[bool] = []
    options = deployment_options

    def keep(limits: Limits, replicas: int, gpu: bool) -> dict[str, Any]:
        wanted.append(gpu)
        return options(limits, replicas, gpu)

    monkeypatch.setattr("raytrain.cluster.serve.deployment_options", keep)
    serve.gpus = gpus
    serve_here(device=device)
    assert wanted == [takes]


def test_other_applications_are_left_and_a_killed_service_is_taken_over(serve: SimpleNamespace) -> None:
    serve.applications = {"default": None, NAME: None}
    with pytest.raises(UsageError, match="Ray Serve runs default on this cluster"):
        serve_here()
    assert not serve.calls
    serve.applications = {NAME: None}
    serve_here()
    assert [call[0] for call in serve.calls] == ["shutdown", "start", "run", "shutdown"]


def test_what_failed_in_a_replica_is_said_in_a_line(serve: SimpleNamespace) -> None:
    serve.error = RuntimeError("Deploying failed:\nTraceback\n  raytrain.errors.DataError: the table is gone\n")
    with pytest.raises(RaytrainError, match=r"could not be opened in a replica: raytrain.errors.DataError: the table"):
        serve_here()
    assert serve.calls[-1] == ("shutdown",)
    with pytest.raises(UsageError, match="at least 1"):
        serve_here(replicas=0)


def test_an_address_that_one_machine_looks_up_is_refused(serve: SimpleNamespace) -> None:
    with pytest.raises(UsageError, match="give --cluster a folder that all nodes mount"):
        serve_here(run="models:/emoji@champion")
    assert not serve.calls


def test_a_relative_folder_of_a_job_is_refused(serve: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UsageError, match="RUN=runs/a is relative"):
        serve_here()


def test_a_second_service_on_the_cluster_is_refused_and_ends_nothing(
    serve: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def taken() -> None:
        raise ValueError("The name raytrain-search is already taken")

    actor = SimpleNamespace(options=lambda **more: SimpleNamespace(remote=taken))
    monkeypatch.setattr(ray, "remote", lambda **more: lambda kind: actor)
    monkeypatch.setattr("raytrain.cluster.serve._only_service", _only_service)
    serve.applications = {NAME: None}
    with pytest.raises(UsageError, match="runs on this cluster"):
        serve_here()
    assert not serve.calls
