"""What a simulated sweep is made of: trials, a cluster, start-ups, failures, early stops, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Trial:
    """A trial without disturbances.

    Args:
        startup_s: seconds from the free slot to the first step.
        epochs_s: seconds of each epoch on a node of ordinary speed; empty for a trial that fails in its start-up.
        best: running best after each epoch, higher is better.
    """

    startup_s: float
    epochs_s: tuple[float, ...]
    best: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Nodes of equal size; a trial holds `workers` GPUs anywhere."""

    nodes: int
    gpus_per_node: int = 1
    workers: int = 1

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node


@dataclass(frozen=True)
class StartUp:
    """What a trial waits for before its first step, in place of its own `startup_s`.

    Args:
        process_s: of a new process: Ray, imports, the GPU's context.
        trial_s: of every trial, in whichever process: the gap after the trial before, the probe of its batch, its
            features copied to the GPU.
        read_s: the first read of the features on a node; later trials there find them in the page cache.
        reuse: whether a process goes on with the next trial; not where a trial has several workers.
    """

    process_s: float = 0.0
    trial_s: float = 0.0
    read_s: float = 0.0
    reuse: bool = True


@dataclass(frozen=True)
class Rates:
    """Failures per hour, and what each costs.

    Args:
        worker: failures of a worker's process per hour; its group starts again on the same slots.
        node: losses of a node per hour; its trials wait for slots elsewhere, the node is back after `node_back_s`.
        driver: losses of the sweep's driver per hour; everything stops, and is resumed after `driver_back_s`.
        worker_found_s, node_found_s: seconds until the failure is noticed; the slots are held meanwhile.
        slow_share, slow_factor: share of nodes that are slow, and how many times as long their epochs take.
    """

    worker: float = 0.0
    node: float = 0.0
    driver: float = 0.0
    worker_found_s: float = 6.0
    node_found_s: float = 30.0
    node_back_s: float = 600.0
    driver_back_s: float = 300.0
    slow_share: float = 0.0
    slow_factor: float = 1.0


class Halving:
    """Asynchronous successive halving, decided like Ray's ASHAScheduler; never at the last epoch, as in our sweeps."""

    def __init__(self, grace: int, reduction: int, epochs: int) -> None:
        self.epochs, self.reduction = epochs, reduction
        rungs = int(math.log(epochs / grace) / math.log(reduction) + 1) if grace < epochs else 0
        self.rungs: dict[int, list[float]] = {grace * reduction**k: [] for k in reversed(range(rungs))}

    def stops(self, epoch: int, best: float) -> bool:
        if epoch >= self.epochs or epoch not in self.rungs:
            return False
        recorded = self.rungs[epoch]
        cutoff = np.percentile(recorded, (1 - 1 / self.reduction) * 100) if recorded else -math.inf
        recorded.append(best)
        return bool(best < cutoff)


@dataclass
class Result:
    """The outcome of a sweep; seconds of slots add up to wall_s x GPUs."""

    wall_s: float = 0.0
    kept_s: float = 0.0
    startup_s: float = 0.0
    lost_s: float = 0.0
    slots_s: float = 0.0
    best: float = -math.inf
    best_at_s: float = 0.0
    epochs: int = 0
    stopped: int = 0
    failures: dict[str, int] = field(default_factory=lambda: {"worker": 0, "node": 0, "driver": 0})

    @property
    def idle_s(self) -> float:
        return self.slots_s - self.kept_s - self.startup_s - self.lost_s

    def share(self, what: str) -> float:
        return float(getattr(self, f"{what}_s")) / self.slots_s
