"""`raytrain index --workers N`: as raytrain/retrieval/indexing/index_run.py, with rows embedded by Ray Data actors."""

from __future__ import annotations

import os
from typing import Any

from raytrain.cluster.encode import actors_on_ray
from raytrain.retrieval.indexing.index_run import index_run


def index_on_ray(run: str | os.PathLike[str], workers: int, **options: Any) -> dict[str, Any]:
    """As `index_run`, over `workers` actors, each with its own copy of the model.

    Run and table lie where every machine of the cluster reads them. Candidates are made by this process.

    Raises:
        UsageError: fewer than one worker, or more workers than the cluster has CPUs or requested GPUs.
    """
    actors = actors_on_ray(workers, options.get("device"))
    return index_run(run, map_batches=actors, **{**options, "device": "cuda" if actors.gpus else "cpu"})
