"""The state of a run: model, optimizer, position and running sums; what a checkpoint holds."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from raytrain.config import RunConfig
from raytrain.data.load.batches import TimedBatches
from raytrain.data.table import AnySplit, QuerySplit
from raytrain.distributed import any_rank, gather, rank, world_size
from raytrain.errors import Interrupted, NonFiniteError, UsageError
from raytrain.methods.base import StepContext
from raytrain.scoring.embed import embed_split, query_uncertainty
from raytrain.scoring.feed import Feed, load_to_device, open_feed
from raytrain.scoring.validate import diagnostics, validation_metrics
from raytrain.training import checkpoint
from raytrain.training.build import build_method, open_batches
from raytrain.training.learner import Learner
from raytrain.training.schedule import lr_factor, set_lr
from raytrain.training.similarity_cache import keep_similarity


class TrainState(Learner):
    """A run's state: model, optimizer and position; what a checkpoint holds.

    Args:
        needed_bytes: of the device's memory that training itself takes, and features cannot be held in.
    """

    def __init__(
        self, config: RunConfig, tables: Mapping[str, AnySplit], device: torch.device, needed_bytes: int = 0
    ) -> None:
        self.val = tables["val"]
        self.feed: Feed = open_feed(config, tables["train"].table, device=device)
        torch.manual_seed(config.seed)
        super().__init__(config, build_method(config, self.feed), device)
        train = tables["train"]
        feed = load_to_device(config, self.feed, train, device, needed_bytes)
        self.features_on = "disk" if feed is self.feed else "device"
        self.batches = open_batches(config, train, feed, self.model.noise_shape)
        self.step_in_epoch, self.saved_step = 0, 0
        self.best = -math.inf
        self.worker_seconds = 0.0
        self.sums: dict[str, Tensor] = {}

    def out_of_steps(self) -> bool:
        return self.config.optim.max_steps is not None and self.step >= self.config.optim.max_steps

    def _updates_after(self, step_in_epoch: int) -> bool:
        """Whether the weights change after this step: the last of `accumulation`, or of the epoch or run."""
        optim, done = self.config.optim, step_in_epoch + 1
        final = done == self.batches.steps or (optim.max_steps is not None and self.step + 1 >= optim.max_steps)
        return done % optim.accumulation == 0 or final

    def train_epoch(
        self, stop: threading.Event, save: Callable[[], Path | None], beat: Callable[[], None] = lambda: None
    ) -> None:
        """From where the run stands to the end of its epoch (or of `max_steps`); `beat` is called after each step."""
        optim, steps = self.config.optim, self.batches.steps
        self.model.train()
        started = began = time.monotonic()
        batches = TimedBatches(self.batches.epoch(self.epoch, self.step_in_epoch, self.config.feed.read_ahead))
        for batch in batches:
            if self.out_of_steps():
                break
            # dropout by the step, so that a resumed run draws what an uninterrupted one draws
            torch.manual_seed((self.config.seed * 1_000_003 + self.step) * 1009 + rank())
            last_part = self._updates_after(self.step_in_epoch)
            set_lr(self.optimizer, optim.lr * lr_factor(self.config, self.step, steps))
            context = StepContext(self.epoch + self.step_in_epoch / steps, optim.num_epochs, gather)
            losses = self.learn(batch, context, last_part)
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.detach()
            self.step += 1
            self.step_in_epoch += 1
            beat()
            ended = self.step_in_epoch == steps or self.out_of_steps()
            if not last_part:
                continue  # a checkpoint holds no half-summed gradient
            if any_rank(stop.is_set(), self.device):
                self._spend(started)
                save()
                raise Interrupted(f"stopped at step {self.step}; resume with the same command")
            every = optim.checkpoint_steps
            if every and self.step // every > self.saved_step // every and not ended:
                self._spend(started)
                started = time.monotonic()
                save()
        self._spend(started)
        self.train_metrics = {f"train/{k}": float(v) / self.step_in_epoch for k, v in self.sums.items()}
        self.train_metrics["train/lr"] = self.optimizer.param_groups[0]["lr"]
        self.train_metrics["cost/data_wait_share"] = batches.seconds / (time.monotonic() - began)
        self.epoch, self.step_in_epoch, self.sums = self.epoch + 1, 0, {}
        if self.train_metrics.get("train/collapsed") == 1.0 and rank() == 0:
            warnings.warn(
                f"{self.config.name}: in every step of epoch {self.epoch} the hardest negatives cost what equal scores "
                "would, twice the margin: the embeddings have collapsed. Raise method.mean_warmup_epochs, lower "
                "optim.lr, or take larger batches.",
                stacklevel=2,
            )

    def validate(self) -> dict[str, float]:
        """Metrics of the epoch that ended; keeps the similarities of the best one. Empty on ranks other than 0."""
        started = time.monotonic()
        config = self.config.evaluation
        judged = None
        finite = True
        with self._averaged():
            query, gallery = embed_split(self.model, self.val, self.feed, self.device)
            if rank() == 0:
                try:
                    judged = validation_metrics(
                        self.model, query, gallery, self.val, config.memory_mib, config.keep_similarity
                    )
                except NonFiniteError:
                    finite = False
            uncertainty = query_uncertainty(self.model, self.val, self.feed, self.device)
        self._spend(started)
        # rank 0 alone makes the scores; all stop together
        if any_rank(not finite, self.device):
            raise NonFiniteError(f"epoch {self.epoch}: the validation similarities are not finite; check the features")
        if judged is None:
            return {}
        metrics = {f"val/{name}": value for name, value in judged.metrics.items()} | self.train_metrics
        metrics |= diagnostics(self.model, judged.ranks, query, gallery, uncertainty, self.val)
        metrics["cost/worker_seconds"] = self.worker_seconds
        metrics["cost/index_bytes"] = float(4 * gallery[0].numel())  # of an image's embedding, as float32
        metrics["cost/gpu_seconds"] = self.worker_seconds if self.device.type == "cuda" else 0.0
        value = metrics.get(config.select)
        if value is None:
            raise UsageError(
                f"evaluation.select={config.select} is no metric of this table; it has "
                f"{', '.join(name for name in metrics if name.startswith('val/'))}"
            )
        if not math.isfinite(value):
            raise NonFiniteError(f"{config.select} is {value} after epoch {self.epoch}")
        if value > self.best:
            self.best = value
            if judged.scores is not None and not isinstance(self.val, QuerySplit):
                keep_similarity(self.config.folder, judged.scores, self.val, self.step)
        return metrics

    def save(self, root: Path, metrics: dict[str, float] | None = None) -> Path | None:
        """A checkpoint of this moment, by rank 0."""
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
        }
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "metrics": metrics or {},
            "selected": (metrics or {}).get(self.config.evaluation.select),
            "world_size": world_size(),
            "fingerprint": self.val.table.fingerprint,
        }
        weights = self.average if self.average is not None else self.model.state_dict()
        return checkpoint.save(root, self.config, weights, state, facts, self.feed.vocabulary)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        state = saved.state()
        self.model.load_state_dict(state["live"] or saved.weights)
        if self.average is not None:
            self.average = {name: value.to(self.device) for name, value in saved.weights.items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.step_in_epoch = state["position"]
        self.saved_step = self.step
        self.best, self.worker_seconds = state["best"], state["worker_seconds"]
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the model, while evaluating."""
        if self.average is None:
            yield
            return
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        yield
        self.model.load_state_dict(live)

    def _spend(self, started: float) -> None:
        self.worker_seconds += (time.monotonic() - started) * world_size()
