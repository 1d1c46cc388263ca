"""`raytrain serve RUN --cluster`: the app of raytrain/retrieval/serve/ in replicas of Ray Serve.

Ray Serve's proxy takes every request into a replica, whose app checks it as it does behind uvicorn. The proxy itself
bounds neither the bodies that it passes on nor how slowly they come: what is open to the world needs a proxy before it.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from raytrain.cluster.connect import connect
from raytrain.errors import UsageError
from raytrain.retrieval.serve import Access, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

NAME = "raytrain-search"
"""Of the application; another service of this name on the cluster is replaced."""
QUEUED_FACTOR = 2
"""Requests that wait for a replica, per request that one may have in work; further ones get 503."""


def deployment_options(limits: Limits, replicas: int, gpu: bool) -> dict[str, Any]:
    """How Ray Serve runs the app: bounded where its own defaults are 5 requests in work and any number that wait."""
    return {
        "name": NAME,
        "num_replicas": replicas,
        "max_ongoing_requests": limits.max_requests,
        "max_queued_requests": QUEUED_FACTOR * limits.max_requests,
        "ray_actor_options": {"num_cpus": 1, "num_gpus": 1 if gpu else 0},
        "graceful_shutdown_timeout_s": limits.shutdown_s,
        "health_check_timeout_s": limits.connection_s,
    }


def serve_on_ray(
    settings: dict[str, Any],
    *,
    access: Access,
    limits: Limits,
    host: str,
    port: int,
    replicas: int,
    gpu: bool,
    listens: Callable[[], None],
    ended: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; connects to the cluster of RAY_ADDRESS, or starts one on this machine.

    Args:
        settings: arguments of `open_service`; run and table lie on storage that all nodes mount.
        access: what a request has to show, a token among it.
        limits: of each replica.
        host, port: of Ray Serve's proxy, on the head of the cluster.
        replicas: processes with a model each.
        gpu: whether each takes a GPU.
        listens: called once it answers.
        ended: set where something else than a signal ends it.

    Raises:
        UsageError: fewer than one replica, or the cluster serves on another host and port already.
        RaytrainError: what opening the service raised in a replica.
    """
    if replicas < 1:
        raise UsageError(f"--replicas {replicas}: give at least 1")
    assert access.token is not None  # others on the cluster's machines reach its proxy
    connect()
    from ray import serve

    ended = ended or threading.Event()

    def build() -> FastAPI:  # in each replica
        from raytrain.retrieval.serve.open import open_service

        return open_service(**settings, access=access, limits=limits)

    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
    deployment = serve.deployment(serve.ingress(build)(_Search), **deployment_options(limits, replicas, gpu))
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve.run(deployment.bind(), name=NAME, route_prefix="/")
        listens()
        ended.wait()
    finally:
        serve.delete(NAME)
        for number, handler in before.items():
            signal.signal(number, handler)


class _Search:
    """What Ray Serve wraps the app in."""
