"""Seconds per training step and epoch, and the ratio of a step to bare matrix products of the same size.

    python -m benchmarks.epoch vse_infinity_flickr8k_bigru data.table=tables/flickr8k --steps 60

Times whole steps as `fit` runs them (reading, augmentation, forward, backward, update) three times. Right after each
time it times matrix products with as many floating-point operations as the step has by torch's own counter. The ratio
says how far the loop is from a machine that does nothing but multiply; it varies less between machines than seconds do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.loader import made_up_table
from benchmarks.small_forms import add_options, run_small, times_as_fast
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
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    if args.recipe is None:
        parser.error("name a recipe")
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


def small() -> dict[str, float]:
    """Matrix products of as many operations over whole steps: 1 is the machine's limit."""
    with tempfile.TemporaryDirectory() as folder:
        table = made_up_table(Path(folder) / "table", 400, "float16")
        changes = {
            "name": "epoch", "storage": folder, "data.table": str(table.path), "optim.max_steps": 2,
            "optim.batch_size": 32, "feed.read_ahead": 0, "encoder.dim": 512,
        }  # fmt: skip
        state, batches = set_up(override(load_recipe("vse_infinity_flickr30k"), changes))
        flops = operations(state, batches)
        return {
            "epoch, of its products": times_as_fast(
                lambda: product_seconds(flops, count=max(1, round(2 * flops / PRODUCT))),
                lambda: steps_of(state, batches),
                3,
            )
        }


def operations(state: TrainState, batches: Batches) -> int:
    """Floating-point operations of a step's products, forward and backward."""
    batch = next(batches.epoch(0))
    with FlopCounterMode(display=False) as counter:
        state.model(batch, StepContext(2.0, 9))["loss"].backward()
    state.optimizer.zero_grad()
    return counter.get_total_flops()


def steps_of(state: TrainState, batches: Batches) -> None:
    """Train the steps of `optim.max_steps`, after the warm-up on all negatives."""
    state.epoch, state.step, state.step_in_epoch = 2, 0, 0
    for _ in train_epoch(state, batches):
        pass


def measure(state: TrainState, batches: Batches, steps: int) -> None:
    flops = operations(state, batches)
    seconds, bare = [], []
    for _ in range(3):
        started = time.perf_counter()
        steps_of(state, batches)
        seconds.append((time.perf_counter() - started) / steps)
        bare.append(product_seconds(flops))
    step, product = statistics.median(seconds), statistics.median(bare)
    print(f"threads {torch.get_num_threads()}, {batches.steps} steps per epoch, {flops / 1e9:.1f} GFLOP per step")
    print(f"step    {step * 1e3:8.1f} ms (min {min(seconds) * 1e3:.1f}, max {max(seconds) * 1e3:.1f})")
    print(f"product {product * 1e3:8.1f} ms for the same operations as one kind of matrix product")
    print(f"ratio   {step / product:8.2f}")
    print(f"epoch   {step * batches.steps:8.1f} s")


ROWS, INNER, COLUMNS = 2048, 1280, 512
PRODUCT = 2 * ROWS * INNER * COLUMNS
"""Operations of a product of these sizes."""


def product_seconds(flops: float, count: int = 10) -> float:
    """Seconds of as many (ROWS x INNER) by (INNER x COLUMNS) fp32 products as make up `flops`, from `count` of them."""
    a, b = torch.randn(ROWS, INNER), torch.randn(INNER, COLUMNS)
    a @ b
    started = time.perf_counter()
    for _ in range(count):
        a @ b
    return (time.perf_counter() - started) / count * flops / PRODUCT


if __name__ == "__main__":
    main()
