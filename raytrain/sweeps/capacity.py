"""Whether a sweep may start another trial: what the cluster has room for now, and what is left of the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from raytrain.cluster import resources
from raytrain.errors import UsageError
from raytrain.progress import say
from raytrain.sweeps.options import SweepOptions

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
        on_change: called with the number of trials that there is room for, whenever it has changed.
        on_look: called with that number at each look.
    """

    def __init__(
        self,
        options: SweepOptions,
        use_gpu: bool,
        gpu_seconds: Callable[[], float],
        nodes: Callable[[], Sequence[Mapping[str, float]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[int], None] = lambda trials: None,
        on_look: Callable[[int], None] = lambda trials: None,
    ) -> None:
        self.on_change, self.on_look = on_change, on_look
        self.options, self.gpu_seconds, self.clock = options, gpu_seconds, clock
        self.nodes = nodes or resources.live_nodes
        self.worker = resources.per_worker(use_gpu, options.resources_per_worker)
        self.started = clock()
        self.last_look = -LOOK_EVERY_S
        self.trials = 0  # that there was room for at the last look
        self.spent_budget: str | None = None

    def room(self) -> int:
        """Number of trials that may train at the same time now."""
        now = self.clock()
        if now - self.last_look >= LOOK_EVERY_S:
            before, first, self.last_look = self.trials, self.last_look < self.started, now
            try:
                self.trials = resources.concurrency(
                    self.nodes(), self.options.workers, self.worker, self.options.concurrent
                )
            except UsageError:  # nodes were lost; others may come
                self.trials = 0
            if not first and before != self.trials:
                self.on_change(self.trials)
            if before and before != self.trials:
                say(f"the cluster has room for {self.trials} trials at a time now, instead of {before}")
            self.on_look(self.trials)
        return self.trials

    def spent(self) -> str | None:
        """The budget that is used up, in words; None while some is left. Trials that are training go on."""
        if self.spent_budget is None:
            hours, gpu_hours = self.options.hours, self.options.gpu_hours
            if hours is not None and self.clock() - self.started >= 3600 * hours:
                self.spent_budget = f"{hours:g} hours"
            elif gpu_hours is not None and self.gpu_seconds() >= 3600 * gpu_hours:
                self.spent_budget = f"{gpu_hours:g} GPU-hours"
            if self.spent_budget:
                say(f"the budget of {self.spent_budget} is spent: no further trial starts")
        return self.spent_budget
