"""Seconds of collectives on nodes of several GPUs, and of a training step with them: latency and bandwidth alone.

A message of S bytes over a link takes `latency + S / bandwidth`. Collectives run in two levels, as NCCL's do: inside a
node over its own links, and between nodes, where the GPUs of a node share the node's link. Between nodes an all-reduce
is a ring, 2 (m - 1) messages of S / m bytes on m nodes, or a pair of trees, 2 log2(m) messages deep for the same bytes:
whichever is faster. An all-gather is a ring. Messages between hosts (gloo) are small rings over all ranks.

What may overlap: gradients travel while the backward pass of the encoders goes on, but for the last bucket, which is
complete when that pass ends. Embeddings and statistics of batch norm are waited for. Hosts exchange flags and shapes
while the device works; a step takes as long as the slower of device and host.

Left out: switches that are shared or congested, slow ranks, the time of reading data, and a rank's own copies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.exchanges import Sent

BUCKET_BYTES = 25 * 2**20
"""DDP's bucket of gradients."""
OF_RANKS = ("rows", "norms", "gradients of norms", "gradients of rows")
"""What is waited for, of the messages between devices."""


@dataclass(frozen=True)
class Link:
    """Seconds per message, and bytes per second."""

    latency_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Network:
    """Nodes of equal size.

    Args:
        inside: of one GPU to the others of its node.
        outside: of a node to the others, shared by its GPUs.
        host: of a process on one host to one on another.
        gpus_per_node: n.
    """

    inside: Link
    outside: Link
    host: Link
    gpus_per_node: int = 8

    def levels(self, ranks: int) -> tuple[int, int]:
        """(GPUs used per node, nodes) of so many ranks, which fill nodes one after the other."""
        inside = min(ranks, self.gpus_per_node)
        return inside, math.ceil(ranks / inside)

    def all_reduce_s(self, size: float, ranks: int) -> float:
        """Seconds of the sum of `size` bytes per rank: scattered inside a node, summed between nodes, gathered."""
        inside, nodes = self.levels(ranks)
        within = 2 * (inside - 1) * self.inside.latency_s + 2 * (inside - 1) / inside * size / self.inside.bytes_per_s
        if nodes == 1:
            return within
        ring = 2 * (nodes - 1) * self.outside.latency_s + 2 * (nodes - 1) / nodes * size / self.outside.bytes_per_s
        tree = 2 * math.ceil(math.log2(nodes)) * self.outside.latency_s + 2 * size / self.outside.bytes_per_s
        return within + min(ring, tree)

    def all_gather_s(self, size: float, ranks: int) -> float:
        """Seconds until every rank has the `size` bytes of each: between nodes, then inside them."""
        inside, nodes = self.levels(ranks)
        between = (nodes - 1) * (self.outside.latency_s + inside * size / self.outside.bytes_per_s)
        return between + (inside - 1) * (self.inside.latency_s + nodes * size / self.inside.bytes_per_s)

    def host_s(self, sent: Mapping[str, Sent], ranks: int) -> float:
        """Seconds of flags and shapes between hosts."""
        flags, shapes = sent.get("flags", Sent()), sent.get("shapes", Sent())
        messages = (ranks - 1) * (2 * flags.calls + shapes.calls)
        return messages * self.host.latency_s + (ranks - 1) * (2 * flags.bytes + shapes.bytes) / self.host.bytes_per_s


@dataclass(frozen=True)
class Compute:
    """Seconds of one rank's own work in a step.

    Args:
        encoders_s: embedding its rows, forward and backward, and the optimizer.
        scores_s: comparing the rows of all ranks.
        host_s: of the host: Python, and starting kernels.
        backward_share: part of `encoders_s` in which gradients are made.
    """

    encoders_s: float
    scores_s: float
    host_s: float = 0.0
    backward_share: float = 2 / 3


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step, and what they are made of.

    Args:
        compute_s: of the device's own work.
        waited_s: for rows and statistics of the other ranks.
        gradients_s: for gradients, beyond what the backward pass hides.
        host_s: of the host, which a device only waits for where it is longer.
    """

    compute_s: float
    waited_s: float
    gradients_s: float
    host_s: float

    @property
    def seconds(self) -> float:
        return max(self.compute_s + self.waited_s + self.gradients_s, self.host_s)


def step_time(compute: Compute, sent: Mapping[str, Sent], ranks: int, network: Network) -> StepTime:
    """Seconds of a step of so many ranks.

    Args:
        sent: calls and bytes of one rank, as `exchanges.predicted` gives them.
    """
    own = compute.encoders_s + compute.scores_s
    if ranks == 1:
        return StepTime(own, 0.0, 0.0, compute.host_s)
    waited = 0.0
    for what in OF_RANKS:
        calls, size = sent.get(what, Sent())
        if calls:
            collective = network.all_reduce_s if what.startswith("gradients") else network.all_gather_s
            waited += calls * collective(size / calls, ranks)
    size = sent["gradients"].bytes
    hidden = compute.backward_share * compute.encoders_s
    last = network.all_reduce_s(min(size, BUCKET_BYTES), ranks)
    exposed = max(last, network.all_reduce_s(size, ranks) - hidden)
    return StepTime(own, waited, exposed, compute.host_s + network.host_s(sent, ranks))
