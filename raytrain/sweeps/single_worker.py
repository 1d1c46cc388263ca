"""A trial of one worker: trained in the very process that Tune started for it, and in turn the next one.

Ray Train would start six processes more for each trial (its controller, four helpers and the worker) to give what one
worker does not need, a process group. What it gives besides comes from here and from Tune: a lost process is started
again wherever there is room, and goes on from the run's newest checkpoint.
"""

from __future__ import annotations

import gc
import math
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from raytrain.cluster.connect import placed
from raytrain.cluster.ray_train import FINAL, estimated, within_memory
from raytrain.config import RunConfig
from raytrain.errors import Interrupted, RefusedError, Stopped
from raytrain.files import room_in
from raytrain.sweeps.objectives import COSTS
from raytrain.tracking.progress import Progress, close, progress

if TYPE_CHECKING:
    import torch

LET_GO_S = 60.0  # of a stopped trial: longer than any step, and a checkpoint
FORMER_S = 120.0  # a worker on a host that was cut off writes to the run until its own Ray gives up


def run_alone(config: RunConfig, worker: Mapping[str, float], parent: str, fingerprint: str) -> None:
    """Train a trial here, and tell Tune of each epoch. Runs in Tune's process of the trial.

    An error that a restart would only repeat is told as the trial's end, with "error" and without a value: Tune would
    try any exception again. All others are raised.

    Args:
        config: a named run.
        worker: resources of this process.
        parent: uid of the sweep.
        fingerprint: of the sweep's table.
    """
    from ray import tune

    # the next trial in this process waits until this one has let go; Tune would lose it, were that to take too long,
    # and with it a slot for ever: sooner the process ends, whose trial Tune hands to another
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(10 * int(LET_GO_S))
    too_long = threading.Timer(LET_GO_S, os._exit, (1,))
    too_long.daemon = True

    def report(metrics: Mapping[str, float]) -> None:
        costs = {name: metrics[name] for name in COSTS.values() if name in metrics}
        try:
            tune.report({"best": metrics["best"], "epoch": int(metrics["epoch"]), **costs})
        except SystemExit:  # Tune's way to end a trial's thread
            too_long.start()
            raise Stopped(f"{config.name} was stopped") from None

    try:
        done = train_alone(config, worker, parent, fingerprint, report)
        # a trial resumed after its last epoch has reported nothing yet
        if done.best is not None:
            report({**done.metrics, "best": done.best, "epoch": done.epochs})
        return
    except Stopped:
        raise SystemExit(0) from None  # back to Tune: it waits for another report of a function that returns
    except (RefusedError, Interrupted):
        raise  # they end the sweep, once Tune has tried them again in vain
    except FINAL as error:
        why = f"{type(error).__name__}: {error}"  # told below, where nothing holds the run's memory any more
    finally:
        too_long.cancel()
    epochs = progress(config.folder, config.evaluation.select).epochs
    untold = dict.fromkeys(("best", *COSTS.values()), math.nan)
    tune.report({**untold, "epoch": max(1, epochs), "error": why, "done": True})


def train_alone(
    config: RunConfig,
    worker: Mapping[str, float],
    parent: str,
    fingerprint: str,
    report: Callable[[Mapping[str, float]], None],
) -> Progress:
    """Train a named run in this process, from its newest checkpoint where it has one, and return how it went.

    Args:
        config: a named run.
        worker: resources of this process.
        parent: uid of the sweep the run belongs to.
        fingerprint: that the run's table must have.
        report: called with the metrics of each epoch; what it raises ends the run.

    Raises:
        RaytrainError: as `fit`; the run's journal says so too.
    """
    import torch

    from raytrain.training.fit import fit
    from raytrain.training.run import open_tables, resumable

    config = placed(config)
    share = worker.get("GPU", 0.0)
    device = device_of(share)
    if "OMP_NUM_THREADS" not in os.environ or not share:
        torch.set_num_threads(max(1, int(worker.get("CPU", 1))))
    gc.collect()  # what the trial before left
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        with within_memory(device, share):
            memory = estimated(config, device, share)
            fit(
                config,
                open_tables(config, fingerprint),
                lambda metrics, folder: report(metrics),
                resume_from=resumable(config, FORMER_S),
                parent=parent,
                device=device,
                memory=memory,
            )
    except Exception as error:
        if not isinstance(error, Stopped):
            with room_in(config.folder, "the run", "go on"):
                close(config.folder, "failed", f"{type(error).__name__}: {error}")
        raise
    return progress(config.folder, config.evaluation.select)


def device_of(share: float) -> torch.device:
    """The GPU of a process that Ray gave one or a part of one, otherwise the CPU."""
    import torch

    return torch.device("cuda", 0) if share else torch.device("cpu")
