"""The loop: `fit` trains one run, alone, under torchrun or inside a Ray worker, and knows nothing of Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from raytrain.config import RunConfig
from raytrain.data.table import AnySplit
from raytrain.data.table.test_guard import closed_while, refuse_test
from raytrain.distributed import default_device, rank
from raytrain.errors import Interrupted, RaytrainError, Stopped
from raytrain.files import room_in
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.memory import Estimate
from raytrain.training.run_log import log_start_or_resume
from raytrain.training.stop import listening
from raytrain.training.train_state import TrainState
from raytrain.training.watchdog import Watchdog

Report = Callable[[dict[str, float], Path | None], None]


def no_report(metrics: dict[str, float], checkpoint_dir: Path | None) -> None:
    """The report of a run that nobody watches."""


@closed_while("a run")
def fit(
    config: RunConfig,
    tables: Mapping[str, AnySplit],
    report: Report = no_report,
    *,
    checkpoint_root: Path | None = None,
    resume_from: Path | None = None,
    parent: str | None = None,
    device: torch.device | None = None,
    memory: Estimate | None = None,
) -> dict[str, float]:
    """Train a run to its last epoch and return the last epoch's metrics (rank 0; empty elsewhere).

    Uses the process group when one is initialised: every rank calls this with the same arguments. W ranks of
    batch B / W give the gradients of one rank of batch B.

    Args:
        config: a named run.
        tables: {"train": Split, "val": Split}; "val" selects the best epoch.
        report: called on every rank once an epoch, with metrics and a finished checkpoint folder on rank 0, and with
            an empty dict and None elsewhere. What it raises ends the run.
        checkpoint_root: where checkpoints are written for `report` to take away; None keeps the best and the last in
            the run's folder.
        resume_from: a checkpoint folder of this run.
        parent: uid of the sweep this run belongs to, for the journal.
        device: default the current CUDA device, or the CPU.
        memory: what the run is expected to hold of its share of a GPU, for the journal.

    Raises:
        OutOfMemory: before any training, when it is expected to hold more.
        NonFiniteError: on all ranks, when a loss term or the gradient is not finite.
        Stopped: what `report` raised; the journal has no end then.
        Interrupted: asked to stop (raytrain/training/stop.py), when a checkpoint to resume from has been written.
        DiskFullError: earlier checkpoints are as they were.
        RefusedError: a table is the test split, or another one than the checkpoint was trained on.
        RaytrainError: another process has gone on with the run; nothing more is written.
    """
    device = device or default_device()
    journal = Journal(config.folder) if rank() == 0 else None
    for split in tables.values():
        refuse_test(split.name)
    saved = checkpoint.load(resume_from) if resume_from is not None else None
    if saved is not None:
        tables["val"].table.refuse_other(saved.manifest["fingerprint"])
    run = TrainState(config, tables, device, memory.needed_bytes if memory else 0)
    if saved is not None:
        run.restore(saved)
    life = log_start_or_resume(journal, run, saved, parent, memory)

    def save(metrics: dict[str, float] | None = None) -> Path | None:
        if journal and not journal.is_of(life):  # on a host that was cut off, nobody may have told us
            raise RaytrainError(f"{config.folder}: another process has gone on with this run since it was started here")
        return run.save(checkpoint_root or config.folder, metrics)

    try:
        if memory:
            memory.refuse_too_much()
        metrics: dict[str, float] = {}
        with (
            listening(config.folder) as stop,
            room_in(config.folder, "the run", "go on"),
            Watchdog(config.folder, rank()) as watchdog,
        ):
            # an epoch that was cut short at its last step has still to be judged
            while run.epoch < config.optim.num_epochs and (run.step_in_epoch or not run.out_of_steps()):
                run.train_epoch(stop, save, watchdog.beat)
                metrics = run.validate()
                watchdog.beat()
                folder = save(metrics)
                if journal:
                    journal.write("epoch", epoch=run.epoch, step=run.step, metrics=metrics)
                    if checkpoint_root is None:
                        checkpoint.keep_best_and_last(config.folder)
                report({"epoch": run.epoch, "best": run.best, **metrics} if metrics else {}, folder)
                watchdog.beat()
    except BaseException as error:
        if journal and not isinstance(error, Stopped):
            status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
            with contextlib.suppress(OSError):  # a full disk may take no last line either
                if journal.is_of(life):
                    journal.write("end", status=status, error=f"{type(error).__name__}: {error}", metrics={})
        if journal:
            journal.close()
        raise
    if journal:
        journal.write("end", status="finished", error=None, metrics={"best": run.best})
        journal.close()
    return metrics
