"""Items per second into a training step, beside a per-item DataLoader and a plain copy; memory; waiting for data.

    python -m benchmarks.loader --items 20000

Makes a table of 36 x 2,048 random features with five captions per image for each dtype (fp32: 5.9 GB of disk at 20,000
items). Compares in turns, in one process:
- the loader of published code: a Dataset that reads one item of the mapped array at a time, collated by a DataLoader
  with 0 and with 2 workers; augmented like VSE-infinity's (a fifth of the regions left out), and bare;
- ours: whole batches, augmented, read ahead in one thread and in as many threads as a run has by default;
- a plain copy of as many items out of the mapped file, in order, as stored.
Then, each in a fresh process: the largest anonymous memory of 150 steps of ours, on this table and on one of a quarter
of its size. Last, the share of a training step that waits for data, with reading ahead and without. --folder keeps the
tables there and uses those that it holds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.config import FeedConfig, override
from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.load.batches import TrainBatches
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.recipes import RECIPES
from raytrain.scoring.feed import Feed, open_feed
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import train_epoch
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState

BATCH, REGIONS, FEATURES = 128, 36, 2048
RECIPE = "vse_infinity_flickr30k"
CPU = torch.device("cpu")
AHEAD = FeedConfig().read_ahead
OURS = f"ours, {AHEAD} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn of one contender")
    parser.add_argument("--steps", type=int, default=12, help="training steps in which waiting is measured")
    parser.add_argument("--parts", default="speed,memory,waiting")
    parser.add_argument("--dtypes", default="float32,float16")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print(json.dumps(memory_of_steps(Table(args.memory_of))))
        return
    for dtype in args.dtypes.split(","):
        with tempfile.TemporaryDirectory(dir=args.folder.parent if args.folder else None) as made:
            folder = args.folder or Path(made)
            table = made_up_table(folder / f"{dtype}_{args.items}", args.items, dtype)
            print(
                f"\n{args.items:,} items of {REGIONS} x {FEATURES} {dtype}, batches of {BATCH}, {args.threads} threads"
            )
            if "speed" in args.parts:
                speed(table, args.turns, args.seconds)
            if "memory" in args.parts:
                quarter = made_up_table(folder / f"{dtype}_{args.items // 4}", args.items // 4, dtype)
                for measured in (quarter, table):
                    memory(measured, args.threads)
            if "waiting" in args.parts:
                for ahead in (0, 1, AHEAD):
                    waiting(table, ahead, args.steps, Path(made))


def made_up_table(path: Path, items: int, dtype: str) -> Table:
    """A table of `items` training images with five captions each, and one image to validate on."""
    if (path / "table.json").exists():
        return Table(path)
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(5000)]
    rows = []
    for row in range(items + 1):
        texts = [" ".join(words[w] for w in random.integers(0, len(words), random.integers(8, 16))) for _ in range(5)]
        split = "train" if row < items else "val"
        rows.append(Item(f"i{row}", "", split, [(f"i{row}#{place}", text) for place, text in enumerate(texts)]))
    block = random.random((256, REGIONS, FEATURES), dtype=np.float32).astype(dtype)
    with TableWriter(path, {"name": "made up"}) as writer:
        writer.write(*to_arrow(rows))
        shape = (items + 1, REGIONS, FEATURES)
        with writer.array("butd", "image", shape, dtype, {"backbone": "made up"}) as target:
            for start in range(0, len(target), len(block)):
                target[start : start + len(block)] = block[: len(target) - start]
    return Table(path)


class PerItem(Dataset[tuple[Tensor, Tensor]]):
    """Caption by caption, as published loaders read: an image of the mapped array and the words of the caption.

    Args:
        drop: share of the regions that are left out. VSE-infinity's loader leaves some out, SCAN's and VSRN's do not.
    """

    def __init__(self, table: Table, feed: Feed, drop: float) -> None:
        self.split, self.images, self.drop = table.split("train"), table.array("butd"), drop
        self.random = np.random.default_rng(0)
        texts = feed.texts.read(self.split.texts, None, 0.0)
        self.captions = [row[mask] for row, mask in zip(texts["text"], texts["text_mask"], strict=True)]

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = np.asarray(self.images[self.split.item_of_text[index]])
        if self.drop:
            image = image[self.random.random(len(image)) >= self.drop]
        return torch.from_numpy(image.astype(np.float32)), self.captions[index]


def collate(items: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    images, captions = zip(*items, strict=True)
    return {
        "regions": torch.nn.utils.rnn.pad_sequence(images, batch_first=True),
        "region_lengths": torch.tensor([len(image) for image in images]),
        "text": torch.nn.utils.rnn.pad_sequence(captions, batch_first=True),
        "lengths": torch.tensor([len(caption) for caption in captions]),
    }


def ours(table: Table) -> TrainBatches:
    """Batches as `fit` reads them."""
    config = override(RECIPES[RECIPE](), {"data.table": str(table.path)})
    feed = open_feed(config, table)
    return TrainBatches(table.split("train"), feed.images, feed.texts, config.data, BATCH, config.seed)


def epochs(batches: TrainBatches, ahead: int) -> Iterator[dict[str, Tensor]]:
    for epoch in range(10**9):
        yield from batches.epoch(epoch, ahead=ahead)


def copies(table: Table) -> Iterator[dict[str, Tensor]]:
    """Copies of as many items as a batch has, in the order of the file, into one buffer."""
    values = np.asarray(table.array("butd"))
    target = np.empty((BATCH, *values.shape[1:]), values.dtype)
    while True:
        for start in range(0, len(values) - BATCH, BATCH):
            np.copyto(target, values[start : start + BATCH])
            yield {}


def small() -> dict[str, float]:
    """Ours in one thread against the loader of published code, and a plain copy of as many items against ours."""
    with tempfile.TemporaryDirectory() as folder:
        table = made_up_table(Path(folder) / "table", 256, "float16")
        config = override(RECIPES[RECIPE](), {"data.table": str(table.path)})
        items = PerItem(table, open_feed(config, table), config.data.region_drop)
        mine, copied = ours(table), copies(table)

        def epoch_of_ours() -> None:
            for _ in mine.epoch(0, ahead=0):
                pass

        def epoch_of_theirs() -> None:
            for _ in DataLoader(items, BATCH, shuffle=True, collate_fn=collate, drop_last=True):
                pass

        def copy_of_an_epoch() -> None:
            for _ in range(mine.steps):
                next(copied)

        return {
            "loader, against DataLoader": times_as_fast(epoch_of_theirs, epoch_of_ours, 3),
            "loader, of a plain copy": times_as_fast(copy_of_an_epoch, epoch_of_ours),
        }


def speed(table: Table, turns: int, seconds: float) -> None:
    """Items per second of each contender, in turns; the ratios are medians over turns."""
    config = override(RECIPES[RECIPE](), {"data.table": str(table.path)})
    feed, mine = open_feed(config, table), ours(table)

    def loader(drop: float, workers: int) -> Iterator[dict[str, Tensor]]:
        items = PerItem(table, feed, drop)
        while True:
            yield from DataLoader(items, BATCH, shuffle=True, num_workers=workers, collate_fn=collate, drop_last=True)

    contenders: dict[str, Iterator[Any]] = {
        "DataLoader, augmented": loader(config.data.region_drop, 0),
        "the same, 2 workers": loader(config.data.region_drop, 2),
        "DataLoader, bare": loader(0.0, 0),
        "the same with 2": loader(0.0, 2),
        "ours, 1 thread": epochs(mine, 1),
        OURS: epochs(mine, AHEAD),
        "plain copy": copies(table),
    }
    # afterwards the page cache holds the file, and its pages are mapped
    int(np.asarray(table.array("butd")).view(np.uint16).max())
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, batches in contenders.items():
            next(batches)
            count, started = 0, time.perf_counter()
            while time.perf_counter() - started < seconds:
                next(batches)
                count += BATCH
            if turn:  # the first one warms up
                rates[name].append(count / (time.perf_counter() - started))
    for name, measured in rates.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates[OURS], measured, strict=True))
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        print(f"  {name:22s} {statistics.median(measured):8,.0f} items/s ({spread}); ours is {ratio:.2f} times")


def memory(table: Table, threads: int) -> None:
    command = [sys.executable, "-m", "benchmarks.loader", "--memory-of", str(table.path), "--threads", str(threads)]
    peaks = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    size = table.array("butd").nbytes / 1e9
    print(
        f"  table of {size:.2f} GB: at most {peaks['peak']:.0f} MB of anonymous memory, {peaks['before']:.0f} MB of it "
        "before the table was opened"
    )


def memory_of_steps(table: Table, steps: int = 150) -> dict[str, float]:
    """MB of anonymous memory of this process: before, and the most from opening the table to the last batch."""
    peak = before = anonymous_mb()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    batches = epochs(ours(table), AHEAD)
    for _ in range(steps):
        batch = next(batches)
        time.sleep(0.001)  # the step
    del batch
    done.set()
    watcher.join()
    return {"before": before, "peak": peak}


def anonymous_mb() -> float:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def waiting(table: Table, ahead: int, steps: int, storage: Path) -> None:
    """Print the share of training that waits for batches."""
    changes = {"name": "waiting", "data.table": str(table.path), "optim.max_steps": steps, "feed.read_ahead": ahead}
    config = override(RECIPES[RECIPE](), {**changes, "storage": str(storage)})
    train = open_tables(config)["train"]
    feed = open_feed(config, train.table)
    torch.manual_seed(config.seed)
    state = TrainState(config, build_method(config, feed), CPU)
    batches = open_batches(config, train, feed, state.model.noise_shape)
    for _ in range(2):  # the first one warms up
        state.epoch, state.step, state.step_in_epoch = 0, 0, 0
        started = time.perf_counter()
        for _ in train_epoch(state, batches):
            pass
        step = (time.perf_counter() - started) / steps
    share = state.train_metrics["cost/data_wait_share"]
    print(f"  {RECIPE}, read_ahead {ahead}: {step * 1e3:.0f} ms per step, {share:.2%} of it waiting for data")


if __name__ == "__main__":
    main()
