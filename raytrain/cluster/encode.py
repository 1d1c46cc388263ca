"""`raytrain data encode --workers N`: the same work as raytrain/data/encode/encode.py, by Ray Data actors.

The driver cuts shards and writes what comes back to its place, in whatever order it arrives: results carry their row
numbers. Batches are cut alike with and without Ray, so that the features are too, and either may go on with the shards
of the other. Workers read the images themselves: on several machines the image root is a store's URL, or lies on
storage that all of them mount.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.cluster.connect import connect
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import Done, Job, Work, pipelined
from raytrain.errors import RaytrainError, UsageError


def encode_on_ray(table_path: str | os.PathLike[str], backbone: str, workers: int, **options: Any) -> dict[str, Any]:
    """As raytrain.data.encode.encode.encode, over `workers` actors.

    Connects to the cluster of RAY_ADDRESS, or starts one on this machine. Each actor takes a GPU where the cluster has
    one for each and `device` is not "cpu", and a CPU otherwise.

    Raises:
        UsageError: fewer than one worker, or more workers than the cluster has CPUs or requested GPUs.
    """
    actors = actors_on_ray(workers, options.get("device"))
    options["device"] = "cuda" if actors.gpus else "cpu"
    return encode(table_path, backbone, map_batches=actors, **options)


def actors_on_ray(workers: int, device: str | None) -> RayData:
    """A mapper over `workers` actors of the cluster of RAY_ADDRESS, or of one that is started on this machine.

    Args:
        device: "cpu" keeps actors from GPUs; None takes a GPU for each where the cluster has as many.

    Raises:
        UsageError: fewer than one worker, or more workers than the cluster has CPUs or requested GPUs.
    """
    if workers < 1:
        raise UsageError(f"workers is at least 1; given: {workers}")
    connect()
    return RayData(workers, _takes_gpus(workers, device))


def _takes_gpus(workers: int, device: str | None) -> bool:
    """Whether each actor gets a GPU; UsageError where there is not even a CPU for each."""
    import ray

    resources = ray.cluster_resources()
    if device != "cpu" and resources.get("GPU", 0) >= workers:
        return True
    if device not in (None, "cpu"):
        raise UsageError(f"{workers} workers need as many GPUs; the cluster has {resources.get('GPU', 0):g}")
    cpus = math.floor(resources.get("CPU", 0))
    if cpus < workers:
        raise UsageError(f"{workers} workers need as many CPUs; the cluster has {cpus}")
    return False


@dataclass
class RayData:
    """A Mapper over Ray Data: a block of its data set is a shard, and its batches stream back one by one.

    Ray's object store holds file names and texts of all shards; features only until the driver has written them.

    Args:
        workers: actors, each with its own copy of the backbone.
        gpus: whether each takes a GPU.
    """

    workers: int
    gpus: bool = False

    def __call__(self, job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # our own lines say more
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.execution_options.preserve_order = False
        blocks = [
            pa.table({"rows": [work.rows for work in shard], "inputs": [work.inputs for work in shard]})
            for shard in shards
        ]
        if not blocks:
            return
        data = ray.data.from_arrow(blocks).map_batches(
            Worker,
            fn_constructor_args=(job,),
            batch_size=None,  # a whole block
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(size=self.workers),
            num_cpus=0 if self.gpus else 1,
            num_gpus=1 if self.gpus else 0,
        )
        try:
            for row in data.iter_rows():
                features = np.frombuffer(row["features"], row["dtype"]).reshape(row["shape"])
                broken = list(zip(row["broken_at"], row["broken_what"], strict=True))
                yield Done(np.array(row["rows"]), features, [(int(at), str(what)) for at, what in broken])
        except Exception as error:
            raise _own(error) or error from None


def _own(error: BaseException | None) -> RaytrainError | None:
    """The worker's own error inside Ray's wrappers, if it is one of ours."""
    while error is not None:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, RaytrainError):
            return cause
        error = error.__cause__ or error.__context__
    return None


class Worker:
    """An actor: opens the backbone once and encodes shard after shard."""

    def __init__(self, job: Job) -> None:
        self.job = job
        job.open()

    def __call__(self, shard: pa.Table) -> Iterator[pa.Table]:
        works = [Work(np.array(row["rows"]), row["inputs"]) for row in shard.to_pylist()]
        for done in pipelined(self.job, works):
            yield pa.Table.from_pylist(
                [
                    {
                        "rows": done.rows.tolist(),
                        # bytes: Arrow has no tensor of fp16 whose shape differs from row to row
                        "features": done.features.tobytes(),
                        "dtype": str(done.features.dtype),
                        "shape": list(done.features.shape),
                        "broken_at": [position for position, _ in done.broken],
                        "broken_what": [what for _, what in done.broken],
                    }
                ],
                schema=_RETURNED,
            )


_RETURNED = pa.schema(
    [
        ("rows", pa.list_(pa.int64())),
        ("features", pa.large_binary()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("broken_at", pa.list_(pa.int64())),
        ("broken_what", pa.list_(pa.string())),
    ]
)
