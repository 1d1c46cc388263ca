"""A trial of one worker: the process that Tune started for it trains it, and then the next trial.

Ray Train would start six more processes per trial (its controller, four helpers and the worker) to provide a process
group, which one worker does not need. Restarts come from Tune: it starts a lost process again wherever there is room,
and the run goes on from its newest checkpoint.
"""

from __future__ import annotations

import gc
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
from raytrain.sweeps.trial_error import TrialError
from raytrain.tracking.run_record import RunRecord, close_run, read_run

if TYPE_CHECKING:
    import torch

LET_GO_S = 60.0
"""A stopped trial has this long to end; any step and the writing of a checkpoint take less."""
FORMER_S = 120.0
"""How long to wait for a former worker: one on a host that was cut off writes to the run until its own Ray gives up."""


def run_single_worker(config: RunConfig, worker: Mapping[str, float], parent: str, fingerprint: str) -> None:
    """Train a trial in this process, the one that Tune started for it, and report each epoch to Tune.

    An error that a restart would only repeat is reported as the trial's end, without a value, since Tune would retry
    any exception. All other errors are raised.

    Args:
        config: a named run.
        worker: resources of this process.
        parent: uid of the sweep.
        fingerprint: of the sweep's table.
    """
    from ray import tune

    # Tune starts the next trial in this process once the thread of this one has ended. Where that takes longer than
    # Tune waits, it loses the next trial, and a slot for ever. So Tune is made to wait longer than LET_GO_S, after
    # which this process ends itself and Tune gives the next trial to another process.
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
        record = train_single_worker(config, worker, parent, fingerprint, report)
        # a trial that was resumed after its last epoch has reported nothing yet
        if record.best is not None:
            report({**record.metrics, "best": record.best, "epoch": record.epochs})
        return
    except Stopped:
        raise SystemExit(0) from None  # back to Tune, which would wait for another report if this function returned
    except (RefusedError, Interrupted):
        raise
    except FINAL as error:
        trial_error = TrialError.of(error)  # reported below, where nothing holds the run's memory any more
    finally:
        too_long.cancel()
    trial_error.report(read_run(config.folder).epochs, done=True)


def train_single_worker(
    config: RunConfig,
    worker: Mapping[str, float],
    parent: str | None,
    fingerprint: str,
    report: Callable[[Mapping[str, float]], None],
) -> RunRecord:
    """Train a named run in this process, from its newest checkpoint where it has one; its record afterwards.

    Args:
        config: a named run.
        worker: resources of this process.
        parent: uid of the sweep that the run belongs to.
        fingerprint: that the run's table must have.
        report: called with the metrics of each epoch; what it raises ends the run.

    Raises:
        RaytrainError: as `fit`; it is in the run's journal too.
    """
    import torch

    from raytrain.training.fit import fit
    from raytrain.training.run import open_tables, resumable

    config = placed(config)
    share = worker.get("GPU", 0.0)
    device = device_of(share)
    if "OMP_NUM_THREADS" not in os.environ or not share:
        torch.set_num_threads(max(1, int(worker.get("CPU", 1))))
    gc.collect()  # what the trial before this one left
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        with within_memory(device, share):
            memory = estimated(config, device, share)
            resumption = resumable(config, FORMER_S)
            fit(
                config,
                open_tables(config, fingerprint),
                lambda metrics, folder: report(metrics),
                resume_from=resumption.path,
                left=resumption.left,
                parent=parent,
                device=device,
                memory=memory,
            )
    except Exception as error:
        if not isinstance(error, Stopped):
            with room_in(config.folder, "the run", "go on"):
                close_run(config.folder, "failed", f"{type(error).__name__}: {error}")
        raise
    return read_run(config.folder)


def device_of(share: float) -> torch.device:
    """The GPU, where Ray gave this process one or a share of one, otherwise the CPU."""
    import torch

    return torch.device("cuda", 0) if share else torch.device("cpu")
