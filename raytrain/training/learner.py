"""What a training step changes: weights, optimizer, loss scaler and averaged weights; and the step itself."""

from __future__ import annotations

import contextlib
import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raytrain.config import RunConfig
from raytrain.data.load.batches import to_device
from raytrain.data.load.readers import Batch
from raytrain.distributed import synchronise_batch_norm, world_size
from raytrain.errors import NonFiniteError
from raytrain.methods.base import Method, StepContext
from raytrain.scoring.embed import autocast
from raytrain.training.schedule import make_optimizer


class Learner:
    """A method that learns, on this rank.

    Args:
        config: precision, clipping and averaging.
        model: with fresh weights; moved to the device.
    """

    def __init__(self, config: RunConfig, model: Method, device: torch.device) -> None:
        self.config, self.device = config, device
        self.model = model.to(device)
        synchronise_batch_norm(self.model)
        self.optimizer = make_optimizer(self.model, config, device)
        self.scaler = torch.amp.GradScaler(enabled=config.optim.precision == "fp16" and device.type == "cuda")
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()} if config.optim.ema_decay else None
        self.parallel: nn.Module = self.model
        if world_size() > 1:
            # batch norm statistics are already global: nothing to broadcast. Newer torch renames the switch, with a
            # warning on every rank; older torch knows this name alone
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self.parallel = DistributedDataParallel(
                    self.model, [device.index] if device.type == "cuda" else None, broadcast_buffers=False
                )
        self.epoch, self.step = 0, 0

    def learn(self, batch: Batch, context: StepContext, update: bool = True) -> dict[str, Tensor]:
        """The losses of this rank's batch after one pass forward and back.

        Args:
            batch: as it was read, on the CPU or already on the device.
            update: change the weights; False only adds to the gradient.

        Raises:
            NonFiniteError: on all ranks, naming step and term.
        """
        with self._no_sync(update):
            with autocast(self.device, self.config.optim.precision):
                losses: dict[str, Tensor] = self.parallel(to_device(batch, self.device), context)
            self._check_finite(losses)
            self.scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]
        if update:
            self._update()
        return losses

    def _update(self) -> None:
        """Clip, step, average."""
        self.scaler.unscale_(self.optimizer)
        limit = self.config.optim.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        # fp16 skips a step whose scaled gradient overflowed; in any other precision it is the end
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise NonFiniteError(
                f"step {self.step}: the gradient is {float(norm)}; lower optim.lr, or look at the data"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average is not None:
            with torch.no_grad():
                for name, value in self.model.state_dict().items():
                    if value.is_floating_point():
                        self.average[name].lerp_(value, 1 - self.config.optim.ema_decay)
                    else:
                        self.average[name].copy_(value)

    def _check_finite(self, losses: dict[str, Tensor]) -> None:
        """Every rank holds the same global losses, so that all of them stop here, at one step."""
        parts = [name for name in losses if name != "loss"]
        values = torch.stack([losses[name].detach().float() for name in [*parts, "loss"]]).tolist()
        for name, value in zip([*parts, "loss"], values, strict=True):
            if not math.isfinite(value):
                raise NonFiniteError(f"step {self.step} (epoch {self.epoch + 1}): {name} is {value}; lower optim.lr")

    def _no_sync(self, last_part: bool) -> contextlib.AbstractContextManager[object]:
        parallel = self.parallel
        return contextlib.nullcontext() if last_part or world_size() == 1 else parallel.no_sync()  # type: ignore[operator]
