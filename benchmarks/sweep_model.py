"""A sweep as discrete events: trials on the GPUs of a cluster, early stops, failures, restarts from checkpoints.

Events wait in a heap, by time. A trial is a chain of segments: its start-up and its epochs. A segment that ends is kept
(a checkpoint is written at the end of an epoch); a segment that a failure cuts off is lost, and the start-up is paid
again. Every second of every slot is counted once: kept, start-up, lost or idle.

The model leaves out that a search learns (trials are drawn in order), limits of network and storage, and differences
between the workers of a trial, which advance together.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.sweep_parts import Cluster, Halving, Rates, Result, StartUp, Trial


@dataclass(eq=False)
class _Run:
    """A trial that has started: epochs that are kept, the nodes of its workers, and the segment that runs."""

    trial: Trial
    done: int = 0
    places: list[int] = field(default_factory=list)
    since: float = 0.0  # when the segment began
    turn: int = 0  # events of earlier turns are void


class Simulation:
    """A sweep to be simulated.

    Args:
        trials: in the order in which they are drawn.
        cluster: where they run.
        rates: of failures; default none.
        halving: early stops; None lets each trial run to its end.
        launch_s: number of trials started so far -> seconds of the driver to start one more, one after the other.
        seed: of failures and slow nodes.
        start: what start-ups take; None: each trial's own `startup_s`.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        cluster: Cluster,
        rates: Rates | None = None,
        halving: Halving | None = None,
        launch_s: Callable[[int], float] = lambda begun: 0.0,
        seed: int = 0,
        start: StartUp | None = None,
    ) -> None:
        if cluster.workers > cluster.gpus:
            raise ValueError(f"a trial of {cluster.workers} workers never fits {cluster.gpus} GPUs")
        self.cluster, self.rates, self.halving, self.launch_s = cluster, rates or Rates(), halving, launch_s
        self.random = random.Random(seed)
        self.waiting = [_Run(trial) for trial in trials]
        self.left = len(trials)
        self.running: list[_Run] = []
        self.start = start
        self.free = [cluster.gpus_per_node] * cluster.nodes
        self.idle_processes = [0] * cluster.nodes
        self.features_there: list[float | None] = [None] * cluster.nodes  # when the node has read them
        self.away: set[int] = set()
        slow = self.rates.slow_share
        self.speed = [self.rates.slow_factor if self.random.random() < slow else 1.0 for _ in range(cluster.nodes)]
        self.now = self.driver_free = 0.0
        self.driver_there, self.begun = True, 0
        self.heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.number = 0
        self.result = Result()

    def run(self) -> Result:
        for node in range(self.cluster.nodes):
            self._later(self.rates.node, self._node_fails, node)
        self._later(self.rates.driver, self._driver_fails)
        self._fill()
        while self.left:
            self.now, _, what, about = heapq.heappop(self.heap)
            what(*about)
        self.result.wall_s = self.now
        self.result.slots_s = self.now * self.cluster.gpus
        return self.result

    def _at(self, time: float, what: Callable[..., None], *about: Any) -> None:
        self.number += 1  # two events at one time happen in the order in which they were made
        heapq.heappush(self.heap, (time, self.number, what, about))

    def _later(self, rate_per_hour: float, what: Callable[..., None], *about: Any) -> None:
        if rate_per_hour > 0:
            self._at(self.now + self.random.expovariate(rate_per_hour / 3600), what, *about)

    def _fill(self) -> None:
        """Start trials that wait, while there is room."""
        while self.driver_there and self.waiting and (places := self._room()) is not None:
            run = self.waiting.pop(0)
            run.places = places
            run.turn += 1
            self.running.append(run)
            self.driver_free = max(self.now, self.driver_free) + self.launch_s(self.begun)
            self.begun += 1
            run.since = self.driver_free
            self._at(self.driver_free, self._start, run, run.turn)

    def _room(self) -> list[int] | None:
        """Nodes for one trial's workers, the emptiest first; None where they do not fit."""
        there = [node for node in range(len(self.free)) if node not in self.away]
        if sum(self.free[node] for node in there) < self.cluster.workers:
            return None
        places: list[int] = []
        for _ in range(self.cluster.workers):
            node = max(there, key=lambda number: (self.free[number], -number))
            self.free[node] -= 1
            places.append(node)
        return places

    def _start(self, run: _Run, turn: int) -> None:
        if turn == run.turn:
            self._segment(run, self._startup_s(run), self._started)

    def _startup_s(self, run: _Run) -> float:
        """Seconds from now to the trial's first step; its workers start side by side."""
        if self.start is None:
            return run.trial.startup_s
        ready = self.now
        for node in run.places:
            if self.idle_processes[node]:
                self.idle_processes[node] -= 1
                up = self.now
            else:
                up = self.now + self.start.process_s
            if (there := self.features_there[node]) is None:
                there = self.features_there[node] = up + self.start.read_s
            ready = max(ready, up, there)
        return ready - self.now + self.start.trial_s

    def _segment(self, run: _Run, seconds: float, then: Callable[[_Run, int], None]) -> None:
        """Let the run's workers work for so many seconds, unless one of them fails before."""
        run.since = self.now
        rate = self.rates.worker * len(run.places) / 3600
        fails = self.random.expovariate(rate) if rate > 0 else math.inf
        if fails < seconds:
            self._at(self.now + fails, self._worker_fails, run, run.turn)
        else:
            self._at(self.now + seconds, then, run, run.turn)

    def _started(self, run: _Run, turn: int) -> None:
        if turn == run.turn:
            self.result.startup_s += (self.now - run.since) * len(run.places)
            self._next_epoch(run)

    def _next_epoch(self, run: _Run) -> None:
        if run.done == len(run.trial.epochs_s):
            self._end(run)
        else:
            slowest = max(self.speed[node] for node in run.places)
            self._segment(run, run.trial.epochs_s[run.done] * slowest, self._epoch_ends)

    def _epoch_ends(self, run: _Run, turn: int) -> None:
        if turn != run.turn:
            return
        self.result.kept_s += (self.now - run.since) * len(run.places)
        self.result.epochs += 1
        run.done += 1
        best = run.trial.best[run.done - 1] if run.trial.best else -math.inf
        if best > self.result.best:
            self.result.best, self.result.best_at_s = best, self.now
        if self.halving is not None and self.halving.stops(run.done, best):
            self.result.stopped += 1
            self._end(run)
        else:
            self._next_epoch(run)

    def _end(self, run: _Run) -> None:
        self.left -= 1
        if self.start is not None and self.start.reuse:
            for node in run.places:
                self.idle_processes[node] += 1
        self._release(run)
        self._fill()

    def _release(self, run: _Run) -> None:
        run.turn += 1
        self.running.remove(run)
        for node in run.places:
            self.free[node] += 1
        run.places = []

    def _cut(self, run: _Run) -> None:
        """Lose the segment that runs; a trial that the driver has not started yet loses nothing."""
        self.result.lost_s += max(0.0, self.now - run.since) * len(run.places)
        run.turn += 1

    def _worker_fails(self, run: _Run, turn: int) -> None:
        if turn == run.turn:
            self.result.failures["worker"] += 1
            self._cut(run)
            run.since = self.now
            self._at(self.now + self.rates.worker_found_s, self._again, run, run.turn)

    def _again(self, run: _Run, turn: int) -> None:
        if turn == run.turn:
            self._cut(run)  # the time until the failure was noticed
            self._segment(run, self._startup_s(run), self._started)

    def _node_fails(self, node: int) -> None:
        self.result.failures["node"] += 1
        for run in [run for run in self.running if node in run.places]:
            self._cut(run)
            run.since = self.now
            self._at(self.now + self.rates.node_found_s, self._moved, run, run.turn)
        self.away.add(node)
        self.idle_processes[node], self.features_there[node] = 0, None
        self._at(self.now + max(self.rates.node_back_s, self.rates.node_found_s), self._node_back, node)

    def _moved(self, run: _Run, turn: int) -> None:
        if turn == run.turn:
            self._cut(run)
            self._release(run)
            self.waiting.insert(0, run)
            self._fill()

    def _node_back(self, node: int) -> None:
        self.away.discard(node)
        self._later(self.rates.node, self._node_fails, node)
        self._fill()

    def _driver_fails(self) -> None:
        self.result.failures["driver"] += 1
        self.driver_there = False
        self.idle_processes = [0] * self.cluster.nodes
        for run in list(self.running):
            self._cut(run)
            self._release(run)
            self.waiting.insert(0, run)
        self._at(self.now + self.rates.driver_back_s, self._driver_back)

    def _driver_back(self) -> None:
        self.driver_there = True
        self.driver_free = self.now
        self._later(self.rates.driver, self._driver_fails)
        self._fill()
