"""`raytrain data encode --workers N`: the same work as raytrain/data/encode.py, by Ray Data actors.

The driver cuts the batches and writes what comes back into the memory-mapped array, in whatever order it arrives:
results carry their row numbers. Batches are cut alike with and without Ray, so that the features are too. Workers read
the images themselves: on several machines the image root lies on storage that all of them mount.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.data import encode as local
from raytrain.data.encode_jobs import Done, Job, Work
from raytrain.errors import UsageError


def encode(table_path: str | os.PathLike[str], backbone: str, *, workers: int = 0, **options: Any) -> dict[str, Any]:
    """As raytrain.data.encode.encode, over `workers` actors; 0 encodes in this process, without Ray.

    Connects to the cluster of RAY_ADDRESS, or starts one on this machine. With GPUs in the cluster each actor takes
    one, and one CPU otherwise, unless `device` says "cpu".
    """
    if workers < 0:
        raise UsageError(f"workers is at least 0; given: {workers}")
    if workers == 0:
        return local.encode(table_path, backbone, **options)
    from raytrain.cluster.connect import connect

    connect()
    return local.encode(table_path, backbone, map_batches=RayData(workers, options.get("device")), **options)


@dataclass
class RayData:
    """A Mapper over Ray Data.

    Args:
        workers: actors, each with its own copy of the backbone.
        device: as the user gave it; None takes a GPU for each actor where the cluster has that many.
    """

    workers: int
    device: str | None = None

    def __call__(self, job: Job, batches: Iterable[Work]) -> Iterator[Done]:
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # our own lines say more
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.execution_options.preserve_order = False
        resources = ray.cluster_resources()
        gpus = self.device != "cpu" and resources.get("GPU", 0) >= self.workers
        cpus = math.floor(resources.get("CPU", 0))
        if not gpus and cpus < self.workers:
            raise UsageError(f"{self.workers} workers need as many CPUs; the cluster has {cpus}")
        rows = [{"rows": work.rows.tolist(), "inputs": work.inputs} for work in batches]
        # a block a batch would be thousands of tasks; a few a worker keep all of them busy to the end
        blocks = min(len(rows), self.workers * 8)
        data = ray.data.from_items(rows, override_num_blocks=blocks).map(
            Worker,
            fn_constructor_args=(job,),
            compute=ray.data.ActorPoolStrategy(size=self.workers),
            num_cpus=0 if gpus else 1,
            num_gpus=1 if gpus else 0,
        )
        for row in data.iter_rows():
            features = np.frombuffer(row["features"], row["dtype"]).reshape(row["shape"])
            broken = list(zip(row["broken_at"], row["broken_what"], strict=True))
            yield Done(np.array(row["rows"]), features, [(int(at), str(what)) for at, what in broken])


class Worker:
    """An actor: opens the backbone once and encodes batch after batch."""

    def __init__(self, job: Job) -> None:
        self.job = job
        job.open()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        work = Work(np.array(row["rows"]), [str(value) for value in row["inputs"]])
        done = self.job.encode(work, self.job.prepare(work))
        return {
            "rows": done.rows.tolist(),
            # bytes: Arrow has no tensor of fp16 whose shape differs from row to row
            "features": done.features.tobytes(),
            "dtype": str(done.features.dtype),
            "shape": list(done.features.shape),
            "broken_at": [position for position, _ in done.broken],
            "broken_what": [what for _, what in done.broken],
        }
