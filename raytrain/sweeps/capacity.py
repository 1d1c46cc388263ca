"""When a sweep may start another trial: what the cluster has room for now, and what is left of the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from raytrain.cluster import resources
from raytrain.errors import UsageError
from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.follow import say

LOOK_EVERY_S = 5.0


class Capacity:
    """Room and budget of one life of a sweep.

    Nodes that join are used from the next look on; nodes that leave take no trial with them but their own.

    Args:
        options: of the sweep.
        use_gpu: whether workers take GPUs.
        gpu_seconds: what the sweep has spent so far, over all its lives.
        nodes: resources of each live node; None asks the connected cluster.
        clock: seconds.
        told: called with the trials that there is room for, whenever that has changed.
        looked_at: called with that number at each look.
    """

    def __init__(
        self,
        options: SweepOptions,
        use_gpu: bool,
        gpu_seconds: Callable[[], float],
        nodes: Callable[[], Sequence[Mapping[str, float]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[int], None] = lambda trials: None,
        looked_at: Callable[[int], None] = lambda trials: None,
    ) -> None:
        self.told, self.looked_at = told, looked_at
        self.options, self.gpu_seconds, self.clock = options, gpu_seconds, clock
        self.nodes = nodes or resources.live_nodes
        self.worker = resources.per_worker(use_gpu, options.resources_per_worker)
        self.started = clock()
        self.looked = -LOOK_EVERY_S
        self.slots = 0
        self.over: str | None = None

    def room(self) -> int:
        """How many trials may train at the same time now."""
        now = self.clock()
        if now - self.looked >= LOOK_EVERY_S:
            before, first, self.looked = self.slots, self.looked < self.started, now
            try:
                self.slots = resources.concurrency(
                    self.nodes(), self.options.workers, self.worker, self.options.concurrent
                )
            except UsageError:  # nodes were lost; others may come
                self.slots = 0
            if not first and before != self.slots:
                self.told(self.slots)
            if before and before != self.slots:
                say(f"the cluster has room for {self.slots} trials at a time now; it had for {before}")
            self.looked_at(self.slots)
        return self.slots

    def spent(self) -> str | None:
        """Which budget is used up; None while there is some left. Trials that train go on."""
        if self.over is None:
            hours, gpu_hours = self.options.hours, self.options.gpu_hours
            if hours is not None and self.clock() - self.started >= 3600 * hours:
                self.over = f"{hours:g} hours"
            elif gpu_hours is not None and self.gpu_seconds() >= 3600 * gpu_hours:
                self.over = f"{gpu_hours:g} GPU-hours"
            if self.over:
                say(f"the budget of {self.over} is spent: no further trial starts")
        return self.over
