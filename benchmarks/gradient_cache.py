"""Gradient caching: losses, gradients, memory and seconds of one batch embedded in parts, against the batch at once.

    python -m benchmarks.gradient_cache vse_infinity_flickr30k dvse_flickr30k dive_flickr30k --batch 1024 --parts 4
    python -m benchmarks.gradient_cache vse_infinity_flickr30k --assume regions=12 method.loss=infonce

The second is for a small machine. One training step's forward and backward pass on a random batch of the recipe's
sizes, from the same weights. Dropout is turned off: its masks are drawn part by part, and would differ. Activation
memory is the most that the pass held above what it began with (weights, batch): what torch allocated on a GPU, and the
process's own on a CPU. The difference of gradients is relative to their norm, over all parameters and in the worst one.
fp32 rounds sums in another order, and a gradient of nearly equal embeddings is a small difference of large numbers: so
the batch at once is also compared with itself, its rows in another order. Exit code 1 where a loss differs by more than
1e-6, or the gradient by more than that and three times what the order of rows makes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.config import RunConfig, flatten, override, parse_overrides
from raytrain.distributed import default_device, gather
from raytrain.methods.base import StepContext
from raytrain.recipes.load import load_recipe
from raytrain.scoring.embed import autocast
from raytrain.scoring.feed import load_backbone
from raytrain.training.build import over_backbone
from raytrain.training.dry_run import made_up_batch, parse_sizes
from raytrain.training.input_sizes import Sizes, inputs, usual_sizes
from raytrain.training.train_state import trainable, training_input

TOLERANCE = 1e-6
WARM_UP = 16
"""Batch size of a pass ahead of the one that is measured, in the same process."""


@dataclass(frozen=True)
class Step:
    """One forward and backward pass.

    Args:
        losses, gradients: by name, on the CPU.
        activation_bytes: the most memory that it held above what it began with.
        seconds: that it took.
    """

    losses: dict[str, float]
    gradients: dict[str, Tensor]
    activation_bytes: int
    seconds: float


def take_step(config: RunConfig, sizes: Sizes, parts: int, device: torch.device, roll: int = 0) -> Step:
    """The pass of a batch in so many parts, from the weights that the config's seed gives.

    Args:
        roll: places by which the batch's images or queries, and their captions, are moved on.
    """
    _pass(override(config, {"optim.batch_size": WARM_UP}), sizes, parts, device, 0)  # imports and loads what it needs
    return _pass(config, sizes, parts, device, roll)


def _pass(config: RunConfig, sizes: Sizes, parts: int, device: torch.device, roll: int) -> Step:
    torch.manual_seed(config.seed)
    model = over_backbone(config, inputs(config, sizes), load_backbone(config)).to(device)
    module = trainable(model, parts, device).train()
    batch = made_up_batch(config, sizes, model.noise_shape)
    units = len(batch["regions"])
    batch = {name: rows.roll(roll * (len(rows) // units), 0) for name, rows in batch.items()}
    given = training_input(batch, parts, device)
    epochs = config.optim.num_epochs
    before = _reset_peak(device)
    started = time.monotonic()
    with autocast(device, config.optim.precision):
        losses = module(given, StepContext(epochs - 1, epochs, gather))
    losses["loss"].backward()
    held = {name: float(value.detach()) for name, value in losses.items()}  # waits for a GPU
    seconds = time.monotonic() - started
    peak = _peak(device)
    gradients = {name: p.grad.float().cpu() for name, p in model.named_parameters() if p.grad is not None}
    return Step(held, gradients, peak - before, seconds)


def differences(whole: Step, cached: Step) -> dict[str, float]:
    """{"loss": largest relative difference of a loss, "gradient": of the whole gradient, "worst": of a parameter's}.

    A parameter's gradient is compared relative to its norm, or to 1e-3 of the whole gradient's where that is more.
    """
    loss = max(abs(cached.losses[name] - value) / max(abs(value), 1.0) for name, value in whole.losses.items())
    squares = {name: float((cached.gradients[name] - g).norm()) ** 2 for name, g in whole.gradients.items()}
    norm = sum(float(gradient.norm()) ** 2 for gradient in whole.gradients.values()) ** 0.5
    worst = max(
        square**0.5 / max(float(whole.gradients[name].norm()), 1e-3 * norm, 1e-30) for name, square in squares.items()
    )
    return {"loss": loss, "gradient": sum(squares.values()) ** 0.5 / max(norm, 1e-30), "worst": worst}


def without_dropout(config: RunConfig) -> RunConfig:
    """The config with every rate of dropout at 0."""
    rates = [name for name in flatten(config) if name.rpartition(".")[2].endswith("dropout")]
    return override(config, dict.fromkeys(rates, 0.0))


def _reset_peak(device: torch.device) -> int:
    """Bytes held now; `_peak` counts from here on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return int(torch.cuda.memory_allocated(device))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: forget the peak
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    """The most bytes held since `_reset_peak`."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    """Bytes of that line of this process's status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _in_a_process(config: RunConfig, sizes: Sizes, parts: int, roll: int, path: str) -> None:
    step = take_step(config, sizes, parts, torch.device("cpu"), roll)
    torch.save(vars(step), path)


def measured_step(config: RunConfig, sizes: Sizes, parts: int, device: torch.device, roll: int = 0) -> Step:
    """`take_step`; on a CPU in a process of its own, so that no memory is left over from another step."""
    if device.type != "cpu":
        return take_step(config, sizes, parts, device, roll)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/step.pt"
        worker = multiprocessing.get_context("fork").Process(
            target=_in_a_process, args=(config, sizes, parts, roll, path)
        )
        worker.start()
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"the step in {parts} part{'s' * (parts > 1)} failed, see above")
        values: dict[str, Any] = torch.load(path, weights_only=True)
        return Step(**values)


def small() -> dict[str, float]:
    """The batch at once over the batch in four parts."""
    settings = {"optim.batch_size": 96, "encoder.dim": 128, "encoder.text.word_dim": 32}
    config = without_dropout(override(load_recipe("vse_infinity_flickr30k"), settings))
    sizes = Sizes(regions=12, region_features=256, tokens=8, words=500)
    steps = {}
    for parts in (1, 4):
        torch.manual_seed(config.seed)
        module = trainable(over_backbone(config, inputs(config, sizes), None), parts, torch.device("cpu")).train()
        given = training_input(made_up_batch(config, sizes), parts, torch.device("cpu"))

        def step(module: torch.nn.Module = module, given: Any = given) -> None:
            module(given, StepContext(1, 2, gather))["loss"].backward()

        steps[parts] = step
    return {"gradient caching in four parts": times_as_fast(steps[1], steps[4], 9)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recipes, and overrides of all of them")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--assume", action="append", default=[], help="sizes, as of `train --dry-run`")
    add_options(parser)
    given = parser.parse_intermixed_args(arguments)
    if given.small:
        run_small(small, given.json)
        return 0
    if not given.names:
        parser.error("name a recipe")
    device, failed = default_device(), False
    for name in [text for text in given.names if "=" not in text]:
        recipe = load_recipe(name)
        settings = {"optim.batch_size": given.batch, "optim.precision": "fp32"}
        settings |= parse_overrides(recipe, [text for text in given.names if "=" in text])
        config = without_dropout(override(recipe, settings))
        sizes = Sizes(**(vars(usual_sizes(config)) | parse_sizes(given.assume)))
        whole, cached = (measured_step(config, sizes, parts, device) for parts in (1, given.parts))
        print(
            f"{name}, batch {given.batch}, {device}: activations {whole.activation_bytes / 2**20:,.0f} MiB at once, "
            f"{cached.activation_bytes / 2**20:,.0f} MiB in {given.parts} parts "
            f"({cached.activation_bytes / max(whole.activation_bytes, 1):.2f}); "
            f"{whole.seconds:.2f} s at once, {cached.seconds:.2f} s in parts ({cached.seconds / whole.seconds:.2f})"
        )
        rounding = differences(whole, measured_step(config, sizes, 1, device, given.batch // 3))["gradient"]
        apart = differences(whole, cached)
        failed = failed or apart["loss"] > TOLERANCE or apart["gradient"] > max(TOLERANCE, 3 * rounding)
        print(
            f"  in parts the loss differs by {apart['loss']:.1e}, the gradient by {apart['gradient']:.1e} (worst "
            f"parameter {apart['worst']:.1e}); of the same batch in another order by {rounding:.1e}"
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
