"""`raytrain serve RUN --cluster`: the app of raytrain/retrieval/serve/ in replicas of Ray Serve.

Ray Serve's proxy takes every request into a replica, whose app checks it as it does behind uvicorn. The proxy itself
bounds neither connections nor how slowly a request comes: what is open to the world needs a proxy of its own before it.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.cluster.connect import absolute_in_job, connect, in_submitted_job
from raytrain.errors import RaytrainError, UsageError
from raytrain.retrieval.load import model_folder
from raytrain.retrieval.registry.download import SCHEME
from raytrain.retrieval.serve import Access, Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

NAME = "raytrain-search"
"""Of the application, and of its one deployment."""


def deployment_options(limits: Limits, replicas: int, gpu: bool) -> dict[str, Any]:
    """How Ray Serve runs the app; its own defaults are 5 requests in work and any number that wait."""
    return {
        "name": NAME,
        "num_replicas": replicas,
        "max_ongoing_requests": limits.max_requests,
        "max_queued_requests": limits.max_requests,
        "ray_actor_options": {"num_cpus": 1, "num_gpus": 1 if gpu else 0},
        "graceful_shutdown_timeout_s": limits.shutdown_s,
    }


def serve_on_ray(
    run: str,
    table: str | None,
    split: str | None,
    *,
    rerank: bool,
    device: str | None,
    access: Access,
    limits: Limits,
    host: str,
    port: int,
    replicas: int,
    listens: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    Connects to the cluster of RAY_ADDRESS, or starts one on this machine. Run and table lie on storage that all nodes
    mount. Each replica takes a GPU where the cluster has one for each and `device` is not "cpu".

    Args:
        run, table, split, rerank, device: as in `open_service`.
        access: what a request has to show, a token among it.
        limits: of each replica.
        host, port: of Ray Serve's proxy, on the head of the cluster.
        replicas: processes with a model each.
        listens: called once it answers.

    Raises:
        UsageError: fewer than one replica, or Ray Serve runs other applications, or another such service, on the
            cluster.
        RaytrainError: the service could not be opened in a replica.
    """
    if replicas < 1:
        raise UsageError(f"--replicas {replicas}: give at least 1")
    assert access.token is not None  # whoever is on a machine of the cluster reaches its loopback
    if run.startswith(SCHEME):
        raise UsageError(f"{run} is looked up on one machine; give --cluster a folder that all nodes mount")
    run, table = _place("RUN", run), None if table is None else _place("--table", table)
    model_folder(run)  # what is wrong with it is said before anything starts
    connect()
    import ray
    from ray import serve

    gpu = device != "cpu" and ray.cluster_resources().get("GPU", 0) >= replicas
    device = device if gpu else "cpu"

    def build() -> FastAPI:  # in each replica
        from raytrain.cluster import compat
        from raytrain.retrieval.serve.open import open_service

        compat.open_no_replica_port()
        return open_service(run, table, split, rerank=rerank, device=device, access=access, limits=limits)

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # it tells each step
    deployment = serve.deployment(serve.ingress(build)(_Search), **deployment_options(limits, replicas, gpu))
    with _only_service():
        _refuse_other_applications(set(serve.status().applications))
        ended = threading.Event()
        before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
            try:
                serve.run(deployment.bind(), name=NAME, route_prefix="/")
            except RuntimeError as error:
                raise RaytrainError(f"the service could not be opened in a replica: {_last_line(error)}") from error
            listens()
            ended.wait()
        finally:
            serve.shutdown()
            for number, handler in before.items():
                signal.signal(number, handler)


class _Search:
    """What Ray Serve wraps the app in."""


class _Holder:
    """An actor that does nothing but hold a name, for as long as the process lives that made it."""


@contextlib.contextmanager
def _only_service() -> Iterator[None]:
    """Inside, no other process serves on the cluster.

    Raises:
        UsageError: another process does.
    """
    import ray

    try:
        holder = ray.remote(num_cpus=0)(_Holder).options(name=NAME, namespace=NAME).remote()
    except ValueError:  # the name is taken
        raise UsageError("`raytrain serve --cluster` runs on this cluster: end it, or serve on another one") from None
    try:
        yield
    finally:
        ray.kill(holder)


def _place(name: str, folder: str) -> str:
    """The folder as every replica finds it."""
    if in_submitted_job():
        absolute_in_job(name, folder)
    return str(Path(folder).expanduser().resolve())


def _refuse_other_applications(names: set[str]) -> None:
    """Ray Serve has one address per cluster, which its first application chose. What a killed service left is ended."""
    from ray import serve

    if names - {NAME}:
        raise UsageError(
            f"Ray Serve runs {', '.join(sorted(names - {NAME}))} on this cluster, at an address of its own: end that "
            "(`serve shutdown`), or serve on another cluster"
        )
    if names:
        serve.shutdown()


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
