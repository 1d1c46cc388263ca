"""The loop: `fit` trains one run, alone, under torchrun or inside a Ray worker, and knows nothing of Ray.

Read from top to bottom: `fit` goes over the epochs, `train_epoch` over the steps of one, `train_step` takes one step.
What they change is a `TrainState` (raytrain/training/train_state.py).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from raytrain.config import METHOD_CONFIGS, RunConfig
from raytrain.data.load.batches import Batches, TimedBatches, uploaded
from raytrain.data.load.readers import Batch
from raytrain.data.table import AnySplit
from raytrain.data.table.splits import refuse_too_small, validation_facts
from raytrain.data.table.test_guard import closed_while, refuse_test
from raytrain.distributed import any_rank, default_device, gather, rank, world_size
from raytrain.errors import Interrupted
from raytrain.files import room_in
from raytrain.methods.base import StepContext
from raytrain.scoring.embed import autocast
from raytrain.scoring.feed import features_read, load_to_device, open_feed
from raytrain.similarity.precision import tf32
from raytrain.training import checkpoint
from raytrain.training.build import build_method, open_batches
from raytrain.training.gradient_cache import parts_of
from raytrain.training.initial_weights import load_weights, open_origin
from raytrain.training.leftovers import sweep_leftovers
from raytrain.training.memory import Estimate
from raytrain.training.run_log import RunLog
from raytrain.training.schedule import lr_factor, set_lr
from raytrain.training.stop import listening
from raytrain.training.train_state import TrainState, training_input
from raytrain.training.validation import validate
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
    left: Mapping[str, str] | None = None,
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
        report: called on every rank once per epoch, with metrics and a finished checkpoint folder on rank 0, and with
            an empty dict and None elsewhere. What it raises ends the run.
        checkpoint_root: where checkpoints are written for `report` to take away; None keeps the best and the last in
            the run's folder.
        resume_from: a checkpoint folder of this run.
        left: newer checkpoints that are damaged, with why (checkpoint.newest_whole); they are set aside.
        parent: uid of the sweep this run belongs to, for the journal.
        device: default the current CUDA device, or the CPU.
        memory: what the run is expected to hold of its share of a GPU, for the journal.

    Raises:
        OutOfMemory: before any training, when it is expected to hold more.
        NonFiniteError: on all ranks, when a loss term, the gradient or a validation score is not finite.
        Stopped: what `report` raised; the journal has no end then.
        Interrupted: asked to stop (raytrain/training/stop.py), when a checkpoint to resume from has been written.
        DiskFullError: earlier checkpoints are as they were.
        RefusedError: a table is the test split, or another one than the checkpoint was trained on.
        UsageError: the weights of `optim.start_from` are not those of this run's model; or the validation split has
            fewer images, captions or queries than there are ranks.
        RaytrainError: another process has gone on with the run; nothing more is written.
    """
    device = device or default_device()
    log = RunLog(config.folder)
    train, val = tables["train"], tables["val"]
    for split in tables.values():
        refuse_test(split.name)
    refuse_too_small(val, world_size())
    saved = checkpoint.load(resume_from) if resume_from is not None else None
    if saved is not None:
        val.table.refuse_other(saved.manifest["fingerprint"])
    origin = open_origin(config) if saved is None else None

    # Set up: readers, a method with the weights it starts from, and features in the memory that it leaves of the device
    before = saved or origin
    feed = open_feed(config, train.table, before.vocabulary if before else None, device)
    torch.manual_seed(config.seed)
    model = build_method(config, feed)
    if origin is not None:
        load_weights(model, config, origin)
    state = TrainState(config, model, device)
    train_feed = load_to_device(config, feed, train, device, memory.needed_bytes if memory else 0)
    batches = open_batches(config, train, train_feed, state.model.noise_shape)
    if saved is not None:
        state.restore(saved)
    fingerprint, features_on = val.table.fingerprint, "disk" if train_feed is feed else "device"
    features = train.table.feature_hashes(features_read(config))
    log.start_or_resume(
        state,
        saved,
        parent=parent,
        fingerprint=fingerprint,
        features=features,
        features_on=features_on,
        validation=validation_facts(train, val),
        memory=memory,
        origin=origin,
        left=left,
    )
    if rank() == 0:
        checkpoint.set_aside(config.folder, left or ())
        sweep_leftovers(checkpoint_root or config.folder)

    def save(metrics: Mapping[str, float] | None = None) -> Path | None:
        log.refuse_other_life()
        state.finite.finish()
        return state.save(checkpoint_root or config.folder, fingerprint, feed.vocabulary, metrics)

    metrics: dict[str, float] = {}
    with (
        log.ending(state),
        log.steps(state, batches.steps),
        listening(config.folder) as stop,
        room_in(config.folder, "the run", "go on"),
        Watchdog(config.folder, rank()) as watchdog,
        tf32(config.optim.tf32),
    ):
        if memory:
            memory.refuse_too_much()
        while not state.finished():
            # Train
            started = time.monotonic()
            for updated in train_epoch(state, batches):
                watchdog.beat()
                if not updated:
                    continue  # a checkpoint holds no half-summed gradient
                if any_rank(stop.is_set()):
                    state.count_seconds(started)
                    save()
                    raise Interrupted(f"stopped at step {state.step}; resume with the same command")
                if state.checkpoint_due(batches.steps):
                    state.count_seconds(started)
                    save()
                    started = time.monotonic()
            state.count_seconds(started)

            # Validate
            metrics = validate(state, val, feed)
            state.count_validation(metrics)
            watchdog.beat()

            # Checkpoint, journal and report
            folder = save(metrics)
            log.epoch(state, metrics)
            if checkpoint_root is None and rank() == 0:
                checkpoint.keep_best_and_last(config.folder)
            report({"epoch": state.epoch, "best": state.best, **metrics} if metrics else {}, folder)
            watchdog.beat()
    return metrics


def train_epoch(state: TrainState, batches: Batches) -> Iterator[bool]:
    """Train from where the run stands to the end of its epoch, or of `optim.max_steps`, step by step.

    Yields:
        after each step, whether it changed the weights; one that did not has added to their gradient.

    Raises:
        NonFiniteError: on all ranks, naming step and term.
    """
    config, steps = state.config, batches.steps
    state.model.train()
    # local features are as long as a rank's longest caption; what a method of another package gathers is not known here
    own = METHOD_CONFIGS.package_of(config.method.kind) is None
    exchange = partial(gather, even=own and batches.even and not state.model.local_features)
    began = time.monotonic()
    waited = TimedBatches(batches.epoch(state.epoch, state.step_in_epoch, config.feed.read_ahead))
    in_parts = (parts_of(batch, config.optim.parts) for batch in waited)
    for batch in uploaded(in_parts, state.device):
        if state.out_of_steps():
            break
        # dropout is drawn by the step, so that a resumed run draws what an uninterrupted one draws
        torch.manual_seed((config.seed * 1_000_003 + state.step) * 1009 + rank())
        factor = lr_factor(config, state.step, steps) * (state.plateau.factor if state.plateau else 1.0)
        set_lr(state.optimizer, config.optim.lr * factor)
        context = StepContext(state.epoch + state.step_in_epoch / steps, config.optim.num_epochs, exchange)
        update = state.next_step_updates(steps)
        state.count_step(train_step(state, batch, context, update))
        yield update
    state.finite.finish()
    state.count_epoch(data_wait_share=waited.seconds / (time.monotonic() - began))


def train_step(
    state: TrainState, batch: Batch | list[Batch], context: StepContext, update: bool = True
) -> dict[str, Tensor]:
    """One pass forward and back, and a step of the optimizer; the losses, which are those of the global batch.

    Args:
        batch: of this rank, as it was read, or its parts (`parts_of`); on the CPU or already on the device.
        context: where training stands, and how to reach the other ranks.
        update: change the weights; False only adds to their gradient.

    Raises:
        NonFiniteError: on all ranks, naming step and term; on a GPU one step late (raytrain/training/finite.py).
    """
    optim, model, optimizer, scaler = state.config.optim, state.parallel, state.optimizer, state.scaler

    # Forward and backward; ranks exchange their gradients only where the weights change
    with contextlib.nullcontext() if update or world_size() == 1 else model.no_sync():  # type: ignore[operator]
        with autocast(state.device, optim.precision):
            losses: dict[str, Tensor] = model(training_input(batch, optim.parts, state.device), context)
        scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]
    if not update:
        state.finite.add(state.step, state.epoch, losses, None)
        return losses

    # Clip
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), optim.clip_norm or math.inf)
    # fp16 skips a step whose scaled gradient overflowed; in any other precision it is the end
    state.finite.add(state.step, state.epoch, losses, None if scaler.is_enabled() else norm)

    # Step
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()

    state.move_average()
    return losses
