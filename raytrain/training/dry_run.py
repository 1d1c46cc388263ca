"""A run on made-up features: does it build, how large is it, what does a step take? No table is needed."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raytrain.config import BiGRUText, RunConfig, TransformerImages, TransformerText
from raytrain.data.load.batches import TrainBatches
from raytrain.data.load.readers import Batch
from raytrain.data.table import Split
from raytrain.distributed import default_device, gather
from raytrain.errors import UsageError
from raytrain.methods.base import Inputs, StepContext
from raytrain.scoring.feed import load_backbone, open_feed
from raytrain.training.build import over_backbone
from raytrain.training.learner import Learner
from raytrain.training.run import open_tables
from raytrain.training.schedule import lr_factor, set_lr

IMAGE_FEATURES = {"butd": (36, 2048), "lite0": (17, 1280)}
TEXT_FEATURES = {"minilm": 384}


@dataclass(frozen=True)
class Sizes:
    """What a batch measures beyond what its config says: features, pixels of a side, longest caption, vocabulary,
    captions an image."""

    regions: int = 36
    region_features: int = 2048
    pixels: int = 224
    tokens: int = 20
    token_features: int = 768
    words: int = 10_000
    captions: int = 5


def dry_run(
    config: RunConfig, assumed: Mapping[str, int] | None = None, device: torch.device | None = None
) -> dict[str, Any]:
    """Build the run's model and take two of its training steps on one made-up batch.

    The first step stands at the start of training, the second in its last epoch: after a warm-up on all negatives, and
    with the optimizer's state in place, which only a first step makes.

    Args:
        config: of any method; its table may not exist yet. Where it does, its sizes are taken and its errors given.
        assumed: sizes to use instead, by the names of Sizes.
        device: default the current CUDA device, or the CPU.

    Returns:
        {"method", "device", "table": path, or None where there is none yet, "sizes", "parameters": {total, trainable,
        parts: {name: count}}, "batch": {name: shape}, "loss" and "losses" of the first step, "loss_later", "seconds"
        of the second step, "memory": {kind, before_bytes, peak_bytes}}; memory is of the process on a CPU, of what
        PyTorch allocated on a GPU.

    Raises:
        UsageError, DataError, NonFiniteError: as training would.
    """
    device = device or default_device()
    on_disk = (Path(config.data.table).expanduser() / "table.json").exists()
    sizes = replace(table_sizes(config) if on_disk else usual_sizes(config), **(assumed or {}))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = peak_bytes(device)

    learner, batch, losses, seconds = two_steps(config, sizes, device)
    trainable = sum(each.numel() for each in learner.model.parameters() if each.requires_grad)
    return {
        "method": config.method.kind,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": config.optim.precision,
        "table": str(config.data.table) if on_disk else None,
        "sizes": _asked(config, sizes),
        "assumed": sorted(assumed or {}),
        "parameters": {"total": _count(learner.model), "trainable": trainable, "parts": parts(learner.model)},
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
) -> tuple[Learner, Batch, list[dict[str, float]], float]:
    """A learner after two of the run's training steps on one made-up batch: itself, the batch, losses, seconds.

    Args:
        lr: default that of the run's first step; seconds are of the second step.
    """
    torch.manual_seed(config.seed)
    learner = Learner(config, over_backbone(config, inputs(config, sizes), load_backbone(config)), device)
    learner.model.train()
    set_lr(learner.optimizer, config.optim.lr * lr_factor(config, 0, 1) if lr is None else lr)
    batch = made_up_batch(config, sizes, learner.model.noise_shape)
    epochs = config.optim.num_epochs
    losses, seconds = [], 0.0
    for epoch in (0.0, max(epochs - 1, epochs / 2)):
        started = time.monotonic()
        found = learner.learn(batch, StepContext(epoch, epochs, gather))
        losses.append({name: float(value.detach()) for name, value in found.items()})  # waits for a GPU
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.monotonic() - started
    return learner, batch, losses, seconds


def made_up_batch(config: RunConfig, sizes: Sizes, noise: tuple[int, ...] = ()) -> Batch:
    """A training batch of the config's size and shape, its content drawn by the config's seed; nothing is masked.

    Made by `config.batch_by`: "pair", B captions of as many images; "image", B images with all their captions;
    "query", B references, texts and targets. With the `noise` of a method that samples.
    """
    generator = torch.Generator().manual_seed(config.seed)
    units = config.optim.batch_size
    captions = units * sizes.captions if config.batch_by == "image" else units

    trains = isinstance(config.encoder.image, TransformerImages)

    def images(name: str) -> Batch:
        shape = (3, sizes.pixels, sizes.pixels) if trains else (sizes.regions, sizes.region_features)
        seen = torch.ones(units, sizes.regions, dtype=torch.bool)
        return {name: torch.rand(units, *shape, generator=generator), name.removesuffix("s") + "_mask": seen}

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


def inputs(config: RunConfig, sizes: Sizes) -> Inputs:
    """What the method learns of the data, as `open_feed` would say it."""
    text, whole = config.encoder.text, sizes.regions - 1
    if isinstance(text, BiGRUText):
        return Inputs(sizes.region_features, words=sizes.words, global_region=whole)
    if isinstance(text, TransformerText):
        return Inputs(sizes.region_features, global_region=whole)
    return Inputs(sizes.region_features, token_features=sizes.token_features, global_region=whole)


def usual_sizes(config: RunConfig) -> Sizes:
    """What the names of the features let one expect, where there is no table: BUTD regions, 20 words of 10,000."""
    regions, features = IMAGE_FEATURES.get(config.data.image_features, IMAGE_FEATURES["butd"])
    sizes = Sizes(regions=regions, region_features=features)
    if (trains := load_backbone(config)) is not None:
        sizes = replace(sizes, regions=trains.regions, region_features=trains.width, pixels=trains.side)
    if config.data.regions == "global":
        sizes = replace(sizes, regions=1)
    if config.data.text_features in TEXT_FEATURES:
        sizes = replace(sizes, token_features=TEXT_FEATURES[config.data.text_features])
    if isinstance(config.encoder.text, TransformerText):
        from raytrain.encoders.tokens import load_text_model

        transformer: Any = load_text_model(config.encoder.text.path)[0]
        sizes = replace(sizes, words=int(transformer.config.vocab_size))
    return replace(sizes, tokens=min(sizes.tokens, config.data.max_words))


def table_sizes(config: RunConfig) -> Sizes:
    """The sizes of the config's table: its longest caption, and the mean number of captions an image, rounded up.

    Raises:
        UsageError: features or splits that the table lacks, or more in a batch than the training split has.
    """
    split = open_tables(config)["train"]
    feed = open_feed(config, split.table)
    captions = 1
    if isinstance(split, Split):
        size = config.optim.batch_size
        batches = TrainBatches(split, feed.images, feed.texts, config.data, size, config.seed, unit=config.batch_by)
        captions = math.ceil(batches.counts.mean())
    known = usual_sizes(config)
    return Sizes(
        regions=feed.images.regions,
        region_features=feed.inputs.region_features,
        pixels=known.pixels,
        tokens=feed.texts.longest,
        token_features=feed.inputs.token_features or known.token_features,
        words=feed.inputs.words or known.words,
        captions=captions,
    )


def parse_sizes(arguments: Sequence[str]) -> dict[str, int]:
    """["regions=36,words=11353", "tokens=30"] -> {"regions": 36, "words": 11353, "tokens": 30}.

    Raises:
        UsageError: a size that does not exist, or that is no positive whole number.
    """
    found = {}
    names = [field.name for field in fields(Sizes)]
    for argument in ",".join(arguments).split(",") if arguments else ():
        name, _, value = argument.partition("=")
        if name not in names:
            raise UsageError(f"there is no size '{name}' to assume. Sizes: {', '.join(names)}.")
        # a word beyond the special ones is the least
        least = 6 if name == "words" else 1
        if not value.isdecimal() or int(value) < least:
            raise UsageError(f"size {name} is a whole number from {least} on; given: {value!r}")
        found[name] = int(value)
    return found


def parts(model: nn.Module) -> dict[str, int]:
    """Parameters of the model's modules, two levels deep, and of what stands beside them; empty parts are left out."""
    found = {}
    for name, child in model.named_children():
        found[name] = _count(child)
        inner = {f"{name}.{part}": _count(module) for part, module in child.named_children()}
        found |= inner if len(inner) > 1 else {}
    found |= {name: parameter.numel() for name, parameter in model.named_parameters(recurse=False)}
    return {name: count for name, count in found.items() if count}


def peak_bytes(device: torch.device) -> int:
    """The most memory so far: of this process, or allocated by PyTorch on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def as_text(found: Mapping[str, Any]) -> str:
    """What `dry_run` found, for a terminal."""
    sizes = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in found["sizes"].items())
    origin = f"of {found['table']}" if found["table"] else "assumed, there is no table yet"
    if found["assumed"]:
        origin += f"; as told: {', '.join(found['assumed'])}"
    counted = found["parameters"]
    lines = [
        f"{found['method']} on {found['device']}, {found['precision']}",
        f"sizes ({origin}): {sizes}",
        f"parameters: {counted['total'] / 1e6:.2f} M, {counted['trainable'] / 1e6:.2f} M of them trained",
        *(f"  {'  ' * name.count('.')}{name} {count / 1e6:.2f} M" for name, count in counted["parts"].items()),
        "batch: " + ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in found["batch"].items()),
        f"loss {found['loss']:.4f} in the first step, {found['loss_later']:.4f} in one of the last epoch",
        f"a step takes {found['seconds']:.2f} s",
    ]
    memory = found["memory"]
    used = f"{memory['peak_bytes'] / 1e9:.2f} GB at most ({memory['kind']})"
    lines.append(f"memory: {used}, {memory['before_bytes'] / 1e9:.2f} GB of it before the model was built")
    return "\n  ".join(lines)


def _asked(config: RunConfig, sizes: Sizes) -> dict[str, int]:
    """The sizes that matter to this config."""
    idle = {"words" if config.encoder.text.kind == "tokens" else "token_features"}
    idle.add("region_features" if isinstance(config.encoder.image, TransformerImages) else "pixels")
    if config.batch_by != "image":
        idle.add("captions")
    return {name: size for name, size in asdict(sizes).items() if name not in idle}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
