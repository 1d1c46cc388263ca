"""How many trials fit a cluster at a time; computed before anything starts, since Ray would wait for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raytrain.errors import UsageError, argument


def per_worker(use_gpu: bool, requested: Mapping[str, float] | None = None) -> dict[str, float]:
    """Resources of one training worker: one CPU, one GPU where GPUs are used, or what was requested instead."""
    needs = {"CPU": 1.0, "GPU": 1.0, **(requested or {})}
    return needs if use_gpu else {name: need for name, need in needs.items() if name != "GPU"}


def room(
    nodes: Sequence[Mapping[str, float]],
    workers: int,
    use_gpu: bool | None,
    requested: Mapping[str, float] | None = None,
    concurrent: int | None = None,
) -> tuple[bool, dict[str, float], int]:
    """Whether workers take GPUs, the resources of one worker, and the number of trials that fit at a time.

    Args:
        nodes: resources of each live node.
        workers: of a trial.
        use_gpu: None takes GPUs where a node has one, and CPUs otherwise.
        requested: resources of a worker, as in `per_worker`.
        concurrent: most trials at a time; None takes all that fit.

    Raises:
        UsageError: not even one trial fits.
    """
    on_gpus = any(node.get("GPU", 0.0) for node in nodes) if use_gpu is None else use_gpu
    worker = per_worker(on_gpus, requested)
    try:
        return on_gpus, worker, concurrency(nodes, workers, worker, concurrent)
    except UsageError as error:
        if use_gpu is None and on_gpus:  # not on CPUs unasked: they take days for the hours of GPUs
            raise UsageError(f"{error} {argument('use_gpu', False, flag='--gpu no')} trains on CPUs.") from None
        raise


def concurrency(
    nodes: Sequence[Mapping[str, float]], workers: int, worker: Mapping[str, float], most: int | None = None
) -> int:
    """Number of trials that can train at the same time.

    A trial's driver takes no CPU (it only waits), so it never starves the workers it waits for.

    Args:
        nodes: resources of each live node; a worker cannot use those of two.
        workers: of a trial.
        worker: resources of one worker.
        most: an upper bound from the user; None takes all that fit.

    Raises:
        UsageError: not even one trial fits.
    """
    if workers > 1 and worker.get("GPU", 1.0) < 1.0:
        given = argument("resources_per_worker", flag="--gpus-per-worker")
        raise UsageError(
            f"workers of one run cannot share a GPU (NCCL): {given} below 1 GPU is for {argument('workers', 1)}"
        )
    slots = sum(_slots(node, worker) for node in nodes)
    fits = slots // workers
    if fits == 0:
        total = {name: sum(node.get(name, 0.0) for node in nodes) for name in worker}
        have = ", ".join(f"{name} {value:g}" for name, value in total.items())
        need = ", ".join(f"{name} {value:g}" for name, value in worker.items())
        raise UsageError(
            f"a trial of {workers} workers ({need} each) does not fit the cluster, which has {have} on {len(nodes)} "
            f"nodes and room for {slots} such workers. Start more nodes, or lower "
            f"{argument('workers')}."
        )
    return min(fits, most) if most else fits


def _slots(node: Mapping[str, float], worker: Mapping[str, float]) -> int:
    # Ray counts in 1/10000: the small term keeps 0.3 / 0.1 from being 2
    return min((int(node.get(name, 0.0) / need + 1e-6) for name, need in worker.items() if need > 0), default=0)


def live_nodes() -> list[dict[str, float]]:
    """Resources of each live node of the connected cluster."""
    import ray

    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
