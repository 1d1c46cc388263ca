"""Seconds per training step and epoch, and the ratio of a step to bare matrix products of the same size.

    python benchmarks/epoch.py vse_infinity_flickr8k_bigru data.table=tables/flickr8k --steps 60

Times whole steps as `fit` runs them (reading, augmentation, forward, backward, update) three times. Right after each
time it times matrix products with as many floating-point operations as the step has by torch's own counter. The ratio
says how far the loop is from a machine that does nothing but multiply; it varies less between machines than seconds do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from raytrain.config import RunConfig, override, parse_overrides
from raytrain.data.load.batches import Batches
from raytrain.distributed import default_device
from raytrain.methods.base import StepContext
from raytrain.recipes.load import load_recipe
from raytrain.scoring.feed import load_to_device, open_feed
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import train_epoch
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
        measure(*set_up(config), args.steps)


def set_up(config: RunConfig) -> tuple[TrainState, Batches]:
    """A fresh state and its training batches, as `fit` makes them."""
    train, device = open_tables(config)["train"], default_device()
    feed = open_feed(config, train.table, device=device)
    torch.manual_seed(config.seed)
    state = TrainState(config, build_method(config, feed), device)
    return state, open_batches(config, train, load_to_device(config, feed, train, device), state.model.noise_shape)


def measure(state: TrainState, batches: Batches, steps: int) -> None:
    batch = next(batches.epoch(0))
    with FlopCounterMode(display=False) as counter:
        state.model(batch, StepContext(2.0, 9))["loss"].backward()
    state.optimizer.zero_grad()
    flops = counter.get_total_flops()
    seconds, bare = [], []
    for _ in range(3):
        state.epoch, state.step, state.step_in_epoch = 2, 0, 0
        started = time.perf_counter()
        for _ in train_epoch(state, batches):
            pass
        seconds.append((time.perf_counter() - started) / steps)
        bare.append(product_seconds(flops))
    step, product = statistics.median(seconds), statistics.median(bare)
    print(f"threads {torch.get_num_threads()}, {batches.steps} steps per epoch, {flops / 1e9:.1f} GFLOP per step")
    print(f"step    {step * 1e3:8.1f} ms (min {min(seconds) * 1e3:.1f}, max {max(seconds) * 1e3:.1f})")
    print(f"product {product * 1e3:8.1f} ms for the same operations as one kind of matrix product")
    print(f"ratio   {step / product:8.2f}")
    print(f"epoch   {step * batches.steps:8.1f} s")


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
