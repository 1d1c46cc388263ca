"""Optimizer groups and the learning rate over time."""

from __future__ import annotations

import bisect
import math

import torch
from torch import nn

from raytrain.config import RunConfig, TransformerText
from raytrain.methods.base import Method, layer_scales


def make_optimizer(model: Method, config: RunConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW with a group for each learning rate.

    `encoder.text.lr_scale` multiplies the learning rate of the text branch; where a transformer is trained, of the
    transformer alone, as in VSE-infinity's code. A method may name more in its `lr_scales`, {start of parameter names:
    factor}; a parameter belongs to the longest start that fits. The first group has the base rate.
    """
    text = config.encoder.text
    if isinstance(text, TransformerText):
        start = f"{model.prefix}text.transformer"
        transformer = dict(model.named_modules()).get(start, nn.Identity())  # a query without text has none
        branch = layer_scales(transformer, f"{start}.", text.lr_scale, text.layer_decay)
    else:
        branch = {f"{model.prefix}text.": text.lr_scale}
    scales = {"": 1.0, **branch, **model.lr_scales}
    members: dict[str, list[nn.Parameter]] = {start: [] for start in scales}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members[max((start for start in scales if name.startswith(start)), key=len)].append(parameter)
    groups = [{"params": found, "scale": scales[start]} for start, found in members.items()]
    return torch.optim.AdamW(
        groups, lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=device.type in ("cpu", "cuda")
    )


def lr_factor(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """What the base learning rate is multiplied by at a step (0-based)."""
    optim = config.optim
    warm = min(1.0, (step + 1) / optim.warmup_steps) if optim.warmup_steps else 1.0
    if optim.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (optim.num_epochs * steps_per_epoch))))
    if optim.schedule == "step":
        passed = bisect.bisect_right(sorted(optim.decay_epochs), step / steps_per_epoch)
        return warm * optim.decay_factor**-passed
    return warm


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
