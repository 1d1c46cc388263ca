"""Seconds of one training epoch, and its ratio to the bare matrix products of the same size.

    python benchmarks/epoch.py vse_infinity_flickr8k_bigru data.table=tables/flickr8k --steps 60

Times whole steps as `fit` runs them (reading, augmentation, forward, backward, update) after a warm-up, three times,
and beside them, in the same minute, a matrix product chain that does the floating-point work of the image branch's
linear layers and of the text branch, counted by torch's own counter. The ratio says how far the loop is from a machine
that did nothing but multiply; it moves less with the machine than seconds do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from raytrain.config import override, parse_overrides
from raytrain.distributed import default_device
from raytrain.methods.base import StepContext
from raytrain.recipes.load import load_recipe
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(args.recipe)
        config = override(recipe, parse_overrides(recipe, args.overrides))
        config = override(config, {"name": "epoch", "storage": folder, "optim.max_steps": args.steps})
        measure(TrainState(config, open_tables(config), default_device()), args.steps)


def measure(run: TrainState, steps: int) -> None:
    batch = next(run.batches.epoch(0))
    with FlopCounterMode(display=False) as counter:
        run.model(batch, StepContext(2.0, 9))["loss"].backward()
    run.optimizer.zero_grad()
    flops = counter.get_total_flops()
    seconds, bare = [], []
    for _ in range(3):
        run.epoch, run.step, run.step_in_epoch = 2, 0, 0
        started = time.perf_counter()
        run.train_epoch(threading.Event(), lambda: None)
        seconds.append((time.perf_counter() - started) / steps)
        bare.append(product_seconds(flops))
    step, product = statistics.median(seconds), statistics.median(bare)
    print(f"threads {torch.get_num_threads()}, {run.batches.steps} steps an epoch, {flops / 1e9:.1f} GFLOP a step")
    print(f"step    {step * 1e3:8.1f} ms (min {min(seconds) * 1e3:.1f}, max {max(seconds) * 1e3:.1f})")
    print(f"product {product * 1e3:8.1f} ms for the same operations as one kind of matrix product")
    print(f"ratio   {step / product:8.2f}")
    print(f"epoch   {step * run.batches.steps:8.1f} s")


def product_seconds(flops: float, rows: int = 2048, inner: int = 1280, columns: int = 512) -> float:
    """Seconds of as many (rows x inner) by (inner x columns) fp32 products as make up `flops`."""
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    a @ b
    started = time.perf_counter()
    count = 10
    for _ in range(count):
        a @ b
    return (time.perf_counter() - started) / count * flops / (2 * rows * inner * columns)


if __name__ == "__main__":
    main()
