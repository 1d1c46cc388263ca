"""`raytrain index --workers N`: as raytrain/retrieval/indexing/index_run.py, with rows embedded by Ray Data actors."""

from __future__ import annotations

import os
from typing import Any

from raytrain.cluster.encode import actors_on_ray
from raytrain.errors import UsageError, argument
from raytrain.retrieval.indexing.index_run import index_run
from raytrain.retrieval.registry.download import SCHEME


def index_on_ray(run: str | os.PathLike[str], workers: int, **options: Any) -> dict[str, Any]:
    """As `index_run`, over `workers` actors, each with its own copy of the model.

    Run and table lie where every machine of the cluster reads them. Candidates are made by this process.

    Raises:
        UsageError: fewer than one worker, more workers than the cluster has CPUs or requested GPUs, or an address of
            the registry, which every machine would look up in a folder of its own.
    """
    if str(run).startswith(SCHEME):
        raise UsageError(f"{run} is looked up on one machine; give {argument('workers')} a folder that all nodes mount")
    actors = actors_on_ray(workers, options.pop("device", None))
    here, there = (None, "cuda") if actors.gpus else ("cpu", "cpu")  # this process may be on a node without GPU
    return index_run(run, map_batches=actors, device=here, embed_on=there, **options)
