"""Asking an autoscaling cluster for the nodes that a sweep could use.

A sweep starts no trial that has no room, so the autoscaler would never see a reason to add a node. Where `--concurrent`
gives the number of trials at a time, the sweep asks for room for that many, or for the trials that are left where they
are fewer. `ray.autoscaler.sdk.request_resources` keeps one request per cluster, which stands until somebody overwrites
it, and Ray Train does. So we ask as Ray's own libraries do, through an actor that adds up all requests and forgets
those that are not renewed: a driver that was killed leaves nothing behind, and two sweeps do not undo each other's
requests. On a cluster that cannot grow, a request changes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

EXPIRES_S = 180.0
RENEW_S = 45.0

Ask = Callable[[list[dict[str, float]], float], None]
"""Called with the bundles of resources that should fit the cluster, and the seconds after which to forget them."""


class AutoscalerRequest:
    """What one sweep asks its cluster for.

    Args:
        workers: of a trial.
        worker: resources of one worker.
        concurrent: number of trials that should train at a time; None asks for nothing.
        ask: default Ray's coordinator of requests.
        clock: seconds.
    """

    def __init__(
        self,
        workers: int,
        worker: Mapping[str, float],
        concurrent: int | None,
        ask: Ask | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers, self.worker, self.concurrent, self.clock = workers, dict(worker), concurrent, clock
        self.ask = ask or _Coordinator()
        self.requested, self.requested_at = 0, -RENEW_S

    def update(self, left: int, running: int, room: int) -> None:
        """Ask for room for the trials to come, and renew the request in time; do nothing while there is enough room.

        Args:
            left: number of trials that have not ended.
            running: number of those that are training.
            room: number of trials that the cluster can train at a time now.
        """
        if self.concurrent is None:
            return
        wanted = min(left, self.concurrent)
        if wanted <= room and not self.requested:
            return
        # Ray Train asks for its own workers, but trials of one worker do not go through it
        bundles = (wanted if self.workers == 1 else max(0, wanted - running)) * self.workers
        if bundles != self.requested or self.clock() - self.requested_at >= RENEW_S:
            self.requested, self.requested_at = bundles, self.clock()
            self.ask([dict(self.worker) for _ in range(bundles)], EXPIRES_S)

    def withdraw(self) -> None:
        """Ask for nothing any more."""
        if self.requested:
            self.requested = 0
            self.ask([], EXPIRES_S)


class _Coordinator:
    """Ray's coordinator of requests; an actor on the cluster, reached once there is something to ask for."""

    def __init__(self) -> None:
        self.name = f"raytrain-{uuid.uuid4().hex[:8]}"
        self.client: Any = None

    def __call__(self, bundles: list[dict[str, float]], seconds: float) -> None:
        if self.client is None:
            from raytrain.sweeps import compat

            self.client = compat.autoscaling_coordinator(self.name)
        if bundles:
            self.client.request_resources(bundles, seconds)
        else:
            self.client.cancel_request()
