"""A run on random features: whether it builds, how large it is, what a step takes. No table is needed."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raytrain.config import RunConfig, TransformerImages
from raytrain.data.load.readers import Batch
from raytrain.distributed import default_device, gather
from raytrain.errors import UsageError
from raytrain.methods.base import StepContext
from raytrain.scoring.feed import load_backbone
from raytrain.training.build import over_backbone
from raytrain.training.fit import train_step
from raytrain.training.input_sizes import Sizes, inputs, table_sizes, usual_sizes
from raytrain.training.schedule import lr_factor, set_lr
from raytrain.training.train_state import TrainState


def dry_run(
    config: RunConfig, assumed: Mapping[str, int] | None = None, device: torch.device | None = None
) -> dict[str, Any]:
    """Build the run's model and take two of its training steps on one random batch.

    The first step is one of the first epoch. The second is one of the last epoch: a warm-up on all negatives is over,
    and the optimizer has its state, which the first step creates.

    Args:
        config: of any method. Where its table exists, sizes are the table's, and errors in it are raised.
        assumed: sizes to use instead, by the names of Sizes.
        device: default the current CUDA device, or the CPU.

    Returns:
        {"method", "device", "table": path, or None where there is none yet, "sizes", "parameters": {total, trainable,
        parts: {name: count}}, "batch": {name: shape}, "loss" and "losses" of the first step, "loss_later", "seconds"
        of the second step, "memory": {kind, before_bytes, peak_bytes}}. Memory is that of the process on a CPU, and
        what PyTorch allocated on a GPU.

    Raises:
        UsageError, DataError, NonFiniteError: as training would.
    """
    device = device or default_device()
    on_disk = (Path(config.data.table).expanduser() / "table.json").exists()
    sizes = replace(table_sizes(config) if on_disk else usual_sizes(config), **(assumed or {}))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = peak_bytes(device)

    state, batch, losses, seconds = two_steps(config, sizes, device)
    trainable = sum(parameter.numel() for parameter in state.model.parameters() if parameter.requires_grad)
    return {
        "method": config.method.kind,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": config.optim.precision,
        "table": str(config.data.table) if on_disk else None,
        "sizes": _used_sizes(config, sizes),
        "assumed": sorted(assumed or {}),
        "parameters": {"total": _count(state.model), "trainable": trainable, "parts": parts(state.model)},
        "batch": {name: list(tensor.shape) for name, tensor in batch.items()},
        "loss": losses[0]["loss"],
        "losses": losses[0],
        "loss_later": losses[1]["loss"],
        "seconds": seconds,
        "memory": {
            "kind": "allocated on the GPU" if device.type == "cuda" else "process",
            "before_bytes": before,
            "peak_bytes": peak_bytes(device),
        },
    }


def two_steps(
    config: RunConfig, sizes: Sizes, device: torch.device, lr: float | None = None
) -> tuple[TrainState, Batch, list[dict[str, float]], float]:
    """Two of the run's training steps on one random batch: the state after them, the batch, losses, seconds.

    Args:
        lr: learning rate; default that of the run's first step.

    Returns:
        seconds are those of the second step, losses those of both.
    """
    torch.manual_seed(config.seed)
    state = TrainState(config, over_backbone(config, inputs(config, sizes), load_backbone(config)), device)
    state.model.train()
    set_lr(state.optimizer, config.optim.lr * lr_factor(config, 0, 1) if lr is None else lr)
    batch = made_up_batch(config, sizes, state.model.noise_shape)
    epochs = config.optim.num_epochs
    losses, seconds = [], 0.0
    for epoch in (0.0, max(epochs - 1, epochs / 2)):
        started = time.monotonic()
        step_losses = train_step(state, batch, StepContext(epoch, epochs, gather))
        losses.append({name: float(value.detach()) for name, value in step_losses.items()})  # waits for a GPU
        state.finite.finish()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.monotonic() - started
    return state, batch, losses, seconds


def made_up_batch(config: RunConfig, sizes: Sizes, noise: tuple[int, ...] = ()) -> Batch:
    """A random training batch of the config's size and shape, drawn by the config's seed; nothing is masked.

    Its units are those of `config.batch_by`: "pair", B captions of B images; "image", B images with all their captions;
    "query", B references, texts and targets.

    Args:
        noise: shape of the noise per unit, of a method that samples.
    """
    generator = torch.Generator().manual_seed(config.seed)
    units = config.optim.batch_size
    captions = units * sizes.captions if config.batch_by == "image" else units
    backbone_trains = isinstance(config.encoder.image, TransformerImages)

    def images(name: str) -> Batch:
        shape = (3, sizes.pixels, sizes.pixels) if backbone_trains else (sizes.regions, sizes.region_features)
        mask = torch.ones(units, sizes.regions, dtype=torch.bool)
        return {name: torch.rand(units, *shape, generator=generator), name.removesuffix("s") + "_mask": mask}

    shape = (captions, sizes.tokens)
    if config.encoder.text.kind == "tokens":
        text = torch.randn((*shape, sizes.token_features), generator=generator)
    else:
        text = torch.randint(min(5, sizes.words - 1), sizes.words, shape, generator=generator)  # no special words
    batch = {
        **images("regions"),
        "text": text,
        "text_mask": torch.ones(shape, dtype=torch.bool),
        "image_id": torch.arange(units).repeat_interleave(captions // units),
        "item_id": torch.arange(units),
    }
    if config.batch_by == "query":
        batch |= images("reference")
    if noise:
        batch["noise"] = torch.randn(units, *noise, generator=generator)
    return batch


def parse_sizes(arguments: Sequence[str]) -> dict[str, int]:
    """["regions=36,words=11353", "tokens=30"] -> {"regions": 36, "words": 11353, "tokens": 30}.

    Raises:
        UsageError: a size that does not exist, or that is no positive whole number.
    """
    sizes = {}
    names = [field.name for field in fields(Sizes)]
    for argument in ",".join(arguments).split(",") if arguments else ():
        name, _, value = argument.partition("=")
        if name not in names:
            raise UsageError(f"there is no size '{name}' to assume. Sizes: {', '.join(names)}.")
        # five words of a vocabulary are special: the least is one word beside them
        least = 6 if name == "words" else 1
        if not value.isdecimal() or int(value) < least:
            raise UsageError(f"size {name} is a whole number from {least} on; given: {value!r}")
        sizes[name] = int(value)
    return sizes


def parts(model: nn.Module) -> dict[str, int]:
    """{module of the model, or its own parameter: number of parameters}, two levels deep; without empty modules."""
    counts = {}
    for name, child in model.named_children():
        counts[name] = _count(child)
        inner = {f"{name}.{part}": _count(module) for part, module in child.named_children()}
        counts |= inner if len(inner) > 1 else {}
    counts |= {name: parameter.numel() for name, parameter in model.named_parameters(recurse=False)}
    return {name: count for name, count in counts.items() if count}


def peak_bytes(device: torch.device) -> int:
    """The largest memory so far: of this process, or allocated by PyTorch on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def as_text(report: Mapping[str, Any]) -> str:
    """The result of `dry_run`, for a terminal."""
    sizes = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in report["sizes"].items())
    origin = f"of {report['table']}" if report["table"] else "assumed, there is no table yet"
    if report["assumed"]:
        origin += f"; by --assume: {', '.join(report['assumed'])}"
    counts = report["parameters"]
    lines = [
        f"{report['method']} on {report['device']}, {report['precision']}",
        f"sizes ({origin}): {sizes}",
        f"parameters: {counts['total'] / 1e6:.2f} M, {counts['trainable'] / 1e6:.2f} M of them trained",
        *(f"  {'  ' * name.count('.')}{name} {count / 1e6:.2f} M" for name, count in counts["parts"].items()),
        "batch: " + ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in report["batch"].items()),
        f"loss {report['loss']:.4f} in the first step, {report['loss_later']:.4f} in a step of the last epoch",
        f"a step takes {report['seconds']:.2f} s",
    ]
    memory = report["memory"]
    peak = f"{memory['peak_bytes'] / 1e9:.2f} GB at most ({memory['kind']})"
    lines.append(f"memory: {peak}, {memory['before_bytes'] / 1e9:.2f} GB of it before the model was built")
    return "\n  ".join(lines)


def _used_sizes(config: RunConfig, sizes: Sizes) -> dict[str, int]:
    """The sizes that the config's batches depend on."""
    unused = {"words" if config.encoder.text.kind == "tokens" else "token_features"}
    unused.add("region_features" if isinstance(config.encoder.image, TransformerImages) else "pixels")
    if config.batch_by != "image":
        unused.add("captions")
    return {name: size for name, size in asdict(sizes).items() if name not in unused}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
