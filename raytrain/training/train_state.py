"""What training changes: weights, optimizer, loss scaler, averaged weights and position; what a checkpoint holds."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raytrain.config import RunConfig
from raytrain.data.load.batches import to_device
from raytrain.data.load.words import Vocabulary
from raytrain.distributed import rank, synchronise_batch_norm, world_size
from raytrain.methods.base import Batch, Method
from raytrain.training import checkpoint
from raytrain.training.compat import move_towards
from raytrain.training.compile_modules import compile_modules
from raytrain.training.finite import FiniteCheck
from raytrain.training.gradient_cache import GradientCache, parts_of
from raytrain.training.manifest import damaged
from raytrain.training.schedule import Plateau, make_optimizer


class TrainState:
    """The state of a run on this rank.

    Args:
        config: optimizer, precision, averaging and length of the run.
        model: with fresh weights; moved to the device.

    Attributes:
        parallel: the model as it trains (`trainable`), of what `training_input` makes of a batch.
        finite: looks at the losses and the gradient of each step.
        plateau: factor of the learning rate that follows validation; None under any other schedule.
        average: {name: averaged weight}; None unless the config asks for an average and the method has one.
        epoch, step: epochs done and steps done since the run began.
        step_in_epoch: steps done in the current epoch; 0 between epochs.
        saved_step: the step of the newest checkpoint.
        best: best value of the selection metric so far.
        worker_seconds: seconds spent training and validating, times the number of ranks, over all lives of the run.
        sums: {loss term: its sum over the steps of the current epoch}.
        train_metrics: of the epoch that ended last.
    """

    def __init__(self, config: RunConfig, model: Method, device: torch.device) -> None:
        self.config, self.device = config, device
        self.model = model.to(device)
        synchronise_batch_norm(self.model)
        if config.optim.compile:
            compile_modules(self.model, device)
        self.optimizer = make_optimizer(self.model, config, device)
        optim = config.optim
        self.plateau = Plateau(optim.decay_factor, optim.plateau_patience) if optim.schedule == "plateau" else None
        self.scaler = torch.amp.GradScaler(enabled=config.optim.precision == "fp16" and device.type == "cuda")
        averages = config.optim.ema_decay and self.model.averaged
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()} if averages else None
        self.parallel = trainable(self.model, optim.parts, device)
        self.finite = FiniteCheck(device)
        self.epoch, self.step, self.step_in_epoch, self.saved_step = 0, 0, 0, 0
        self.best = -math.inf
        self.worker_seconds = 0.0
        self.sums: dict[str, Tensor] = {}
        self.train_metrics: dict[str, float] = {}

    def out_of_steps(self) -> bool:
        """Whether the run has taken the steps that `optim.max_steps` allows."""
        return self.config.optim.max_steps is not None and self.step >= self.config.optim.max_steps

    def finished(self) -> bool:
        """Whether nothing is left to train, nor to validate: a run may have been stopped at the last step of all."""
        return self.epoch >= self.config.optim.num_epochs or (self.out_of_steps() and not self.step_in_epoch)

    def next_step_updates(self, steps_per_epoch: int) -> bool:
        """Whether the weights change in the next step: each `optim.accumulation` steps, and at the end of an epoch."""
        optim, number = self.config.optim, self.step_in_epoch + 1
        is_last = number == steps_per_epoch or (optim.max_steps is not None and self.step + 1 >= optim.max_steps)
        return number % optim.accumulation == 0 or is_last

    def checkpoint_due(self, steps_per_epoch: int) -> bool:
        """Whether `optim.checkpoint_steps` asks for a checkpoint here, and no end of an epoch brings one anyway."""
        every = self.config.optim.checkpoint_steps
        if not every or self.step_in_epoch == steps_per_epoch or self.out_of_steps():
            return False
        return self.step // every > self.saved_step // every

    def count_step(self, losses: Mapping[str, Tensor]) -> None:
        """A step was taken and had these losses."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        self.step += 1
        self.step_in_epoch += 1

    def count_epoch(self, data_wait_share: float) -> None:
        """An epoch was trained: `train_metrics` are the means of its losses.

        Args:
            data_wait_share: share of its time that was spent waiting for batches.
        """
        self.train_metrics = {f"train/{name}": float(sum_) / self.step_in_epoch for name, sum_ in self.sums.items()}
        self.train_metrics["train/lr"] = self.optimizer.param_groups[0]["lr"]
        self.train_metrics["cost/data_wait_share"] = data_wait_share
        self.epoch, self.step_in_epoch, self.sums = self.epoch + 1, 0, {}
        if self.train_metrics.get("train/collapsed") == 1.0 and rank() == 0:
            warnings.warn(
                f"{self.config.name}: in every step of epoch {self.epoch} the hardest negatives cost what equal scores "
                "would, twice the margin: the embeddings have collapsed. Raise method.mean_warmup_epochs, lower "
                "optim.lr, or take larger batches.",
                stacklevel=2,
            )

    def count_validation(self, metrics: Mapping[str, float]) -> None:
        """An epoch was validated, with these metrics on rank 0 and none elsewhere; every rank calls this."""
        if self.plateau is not None:
            self.plateau.count(metrics.get(self.config.evaluation.select), self.device)

    def count_seconds(self, started: float) -> None:
        """Add the time since `started`, a value of time.monotonic(), to `worker_seconds`."""
        self.worker_seconds += (time.monotonic() - started) * world_size()

    @torch.no_grad()
    def move_average(self) -> None:
        """Move the averaged weights towards those that train, where the run averages; numbers of steps are copied."""
        if self.average is None:
            return
        weights = self.model.state_dict()
        moved = [name for name, value in weights.items() if value.is_floating_point()]
        decay = self.config.optim.ema_decay
        move_towards([self.average[name] for name in moved], [weights[name] for name in moved], 1 - decay)
        for name in weights.keys() - set(moved):
            self.average[name].copy_(weights[name])

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside, the model has the averaged weights, where the run averages; outside, those that train."""
        if self.average is None:
            yield
            return
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(live)

    def save(
        self, root: Path, fingerprint: str, vocabulary: Vocabulary | None, metrics: Mapping[str, float] | None = None
    ) -> Path | None:
        """Write a checkpoint of this step under `root` and return its folder (rank 0; None elsewhere).

        Args:
            fingerprint: of the table.
            vocabulary: of the captions; None unless they are words.
            metrics: of the epoch; None inside one.

        Raises:
            DiskFullError: earlier checkpoints are as they were.
        """
        self.saved_step = self.step
        if rank() != 0:
            return None
        state = {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "live": self.model.state_dict() if self.average is not None else None,
            "position": [self.epoch, self.step, self.step_in_epoch],
            "best": self.best,
            "worker_seconds": self.worker_seconds,
            "sums": self.sums,
            **({"plateau": self.plateau.state()} if self.plateau is not None else {}),
        }
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "metrics": metrics or {},
            "selected": (metrics or {}).get(self.config.evaluation.select),
            "world_size": world_size(),
            "fingerprint": fingerprint,
        }
        weights = self.average if self.average is not None else self.model.state_dict()
        return checkpoint.save(root, self.config, weights, state, facts, vocabulary)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go back to where a checkpoint of this run was written.

        Raises:
            DataError: it is damaged, or of another model or optimizer.
        """
        state = saved.state()
        try:
            self._restore(saved, state)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise damaged(saved.path / checkpoint.STATE, f"not that of this run: {reason:.200}") from None

    def _restore(self, saved: checkpoint.Checkpoint, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["live"] or saved.weights)
        if self.average is not None:
            self.average = {name: value.to(self.device) for name, value in saved.weights.items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.step_in_epoch = state["position"]
        self.saved_step = self.step
        if self.plateau is not None:
            self.plateau.restore(state["plateau"])
        self.best, self.worker_seconds = state["best"], state["worker_seconds"]
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}


def trainable(model: Method, parts: int, device: torch.device) -> nn.Module:
    """The model as it trains: under gradient caching where `parts` is above 1, in DDP where there are several ranks.

    Raises:
        UsageError: the model cannot be embedded in parts.
    """
    module: nn.Module = model if parts == 1 else GradientCache(model)
    if world_size() == 1:
        return module
    # batch norm statistics are global already: there is nothing to broadcast. Newer torch renames the switch, with a
    # warning on every rank; older torch knows this name alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            module, [device.index] if device.type == "cuda" else None, broadcast_buffers=False
        )


def training_input(batch: Batch | list[Batch], parts: int, device: torch.device) -> Batch | list[Batch]:
    """What `trainable` takes in place of a batch, on the device: the batch, or its parts.

    Args:
        batch: as it was read, or as `parts_of` makes it.
        parts: number of parts.

    Raises:
        UsageError: the batch has fewer rows than parts.
    """
    moved = [to_device(part, device) for part in parts_of(batch, parts)]
    return moved[0] if parts == 1 else moved
