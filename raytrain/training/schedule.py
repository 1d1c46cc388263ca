"""The optimizer with its groups of learning rates, and the learning rate over time."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from raytrain.config import RunConfig, TransformerText
from raytrain.distributed import gather
from raytrain.methods.base import Method, layer_scales
from raytrain.training.compat import AdamW


def make_optimizer(model: Method, config: RunConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW with one group of parameters per learning rate; the first group has the base rate.

    `encoder.text.lr_scale` multiplies the learning rate of the text branch; where a transformer is trained, of the
    transformer alone, as in VSE-infinity's code. A method may scale further parts in its `lr_scales`, {prefix of
    parameter names: factor}. A parameter belongs to the longest prefix of its name.

    Weight decay holds for all parameters, biases and norms among them, but for those that a module names in its
    `undecayed`: they have the base rate and a group of their own, the last.
    """
    text = config.encoder.text
    if isinstance(text, TransformerText):
        prefix = f"{model.prefix}text.transformer"
        transformer = dict(model.named_modules()).get(prefix, nn.Identity())  # a query without text has none
        branch = layer_scales(transformer, f"{prefix}.", text.lr_scale, text.layer_decay)
    else:
        branch = {f"{model.prefix}text.": text.lr_scale}
    scales = {"": 1.0, **branch, **model.lr_scales}
    members: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in scales}
    undecayed = {
        f"{place}.{name}" for place, module in model.named_modules() for name in getattr(module, "undecayed", ())
    }
    kept = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name in undecayed:
            kept.append(parameter)
        elif parameter.requires_grad:
            members[max((prefix for prefix in scales if name.startswith(prefix)), key=len)].append(parameter)
    groups: list[dict[str, Any]] = [{"params": some, "scale": scales[prefix]} for prefix, some in members.items()]
    if kept:
        groups.append({"params": kept, "scale": 1.0, "weight_decay": 0.0})
    return AdamW(
        groups, lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=device.type in ("cpu", "cuda")
    )


def lr_factor(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """The factor of the base learning rate at a step (0-based, of the whole run): schedule times warm-up.

    That of `schedule=plateau` comes from validation, and multiplies this one (`Plateau`).
    """
    optim = config.optim
    warmup = min(1.0, (step + 1) / optim.warmup_steps) if optim.warmup_steps else 1.0
    if optim.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (optim.num_epochs * steps_per_epoch))))
    if optim.schedule == "step":
        passed = bisect.bisect_right(sorted(optim.decay_epochs), step / steps_per_epoch)
        return warmup * optim.decay_factor**-passed
    return warmup


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of the optimizer the learning rate `lr`, times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


class Plateau:
    """A factor of the learning rate that falls when validation stops improving: torch's ReduceLROnPlateau.

    Args:
        decay_factor: that the factor is divided by.
        patience: epochs without a new best value that are let pass; the next one makes the factor fall.
    """

    def __init__(self, decay_factor: float, patience: int) -> None:
        # the scheduler changes rates of an optimizer; this one holds the factor in the place of a rate
        self._holder = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        self._scheduler = ReduceLROnPlateau(
            self._holder, mode="max", factor=1 / decay_factor, patience=patience, threshold=0.0, threshold_mode="abs"
        )

    @property
    def factor(self) -> float:
        return float(self._holder.param_groups[0]["lr"])

    def count(self, value: float | None, device: torch.device) -> None:
        """An epoch was validated. Every rank calls this.

        Args:
            value: of the selection metric, on the rank that has it; None on the others.
            device: where ranks exchange it.
        """
        own = torch.tensor([-math.inf if value is None else value], dtype=torch.float64, device=device)
        self._scheduler.step(float(gather(own).max()))

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        scheduler = self._scheduler
        return {"factor": self.factor, "best": float(scheduler.best), "bad_epochs": float(scheduler.num_bad_epochs)}

    def restore(self, state: Mapping[str, float]) -> None:
        """Goes back to a `state`."""
        self._holder.param_groups[0]["lr"] = state["factor"]
        self._scheduler.best, self._scheduler.num_bad_epochs = state["best"], int(state["bad_epochs"])
