"""A training step, an encoding and an evaluation of every method on a fake or a real GPU.

    python -m tests.gpu.steps

prints how often the host waits for the device in a training step of each method, and where: the table of docs/gpu.md.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import raytrain.distributed
from raytrain.config import RunConfig
from raytrain.data.load.readers import Batch
from raytrain.data.table import AnySplit, Table
from raytrain.distributed import gather, synchronise_batch_norm
from raytrain.methods.base import StepContext
from raytrain.scoring.feed import Feed, open_feed
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import train_step
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from tests.distributed.two_ranks import METHODS as VARIANTS
from tests.distributed.two_ranks import table_for
from tests.gpu.fake_gpu import FakeGPU
from tests.runs import tiny
from tests.tables import make_query_table, make_table

HALF_QUERIES: dict[str, Any] = {"method__kind": "half_queries", "optim__batch_size": 12}
STEPS: dict[str, dict[str, Any]] = {
    **{name: VARIANTS[name] for name in (
        "vse_infinity", "dvse", "mv_vse", "vsepp-words", "vsrn-words", "dive-words", "dive-ragged", "maxmatch", "pvse",
        "pcme-words", "pcmepp", "asymvlm", "scan-words", "sgraf-saf", "sgraf-sgr", "caan", "imram", "naaf",
        "query-tirg", "query-mgur", "query-rau",
    )},
    "vse_infinity-words": {"method__kind": "vse_infinity", "encoder__text__kind": "bigru", "data__word_drop": 0.2},
    "pcmepp-mixed": VARIANTS["pcmepp-mixed"],
    "dvse-margin": VARIANTS["dvse-margin"],
    "query-half": HALF_QUERIES,
}  # fmt: skip
"""Settings of a step per method, of `tests.runs.tiny`; several where a choice leads through other code."""


class Run:
    """A run that is about to take a step, and all that it needs.

    Args:
        config: of the run; the weights are averaged.
        device: where the model is; its first batch is on the CPU.
    """

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.splits: dict[str, AnySplit] = dict(open_tables(config))
        self.feed: Feed = open_feed(config, self.splits["train"].table)
        torch.manual_seed(0)
        model = build_method(config, self.feed)
        batches = open_batches(config, self.splits["train"], self.feed, model.noise_shape)
        self.batches: Iterator[Batch] = batches.epoch(0, ahead=0)
        self.state = TrainState(config, model, device)
        self.state.model.train()

    def step(self) -> dict[str, Tensor]:
        """One step; its losses, on the device."""
        losses = train_step(self.state, next(self.batches), StepContext(2.0, 5, gather))
        self.state.count_step(losses)
        return losses


def open_run(name: str, tables: Table, device: torch.device) -> Run:
    """The run of `STEPS[name]` on one of the tables of `make_tables`."""
    table = table_for("query" if name.startswith("query") else name, tables)
    return Run(tiny(table, table.path.parent, optim__ema_decay=0.9, **STEPS[name]), device)


def make_tables(folder: Path) -> Table:
    """The table of most methods; beside it those of composed queries, and of images with unequally many captions."""
    make_table(folder / "ragged", items=27, ragged=True)
    make_query_table(folder / "query")
    return make_table(folder / "table", items=27)


@contextmanager
def imitated_ranks() -> Iterator[None]:
    """Two ranks of which the other one has what this one has: every exchange is made, on the device, in one process."""

    def all_gather(parts: list[Tensor], tensor: Tensor, group: object = None) -> None:
        for part in parts:
            part.copy_(tensor)

    def all_reduce(tensor: Tensor, op: object = None, group: object = None) -> None:
        tensor.mul_(2 if op is None else 1)

    real = raytrain.distributed.dist
    raytrain.distributed.dist = SimpleNamespace(  # type: ignore[assignment]
        is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 2, get_rank=lambda: 0,
        get_backend=lambda: "gloo", all_gather=all_gather, all_reduce=all_reduce, ReduceOp=real.ReduceOp,
    )  # fmt: skip
    try:
        yield
    finally:
        raytrain.distributed.dist = real


def step_on_fake_gpu(name: str, tables: Table, ranks: int = 1) -> FakeGPU:
    """The device after one training step there, with what the step waited for."""
    with FakeGPU() as gpu:
        run = open_run(name, tables, gpu.device)
        gpu.waits.clear()
        if ranks == 1:
            run.step()
        else:
            with imitated_ranks():
                synchronise_batch_norm(run.state.model)
                run.step()
    return gpu


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = make_tables(Path(folder))
        print("| method | waits per step | where |\n| --- | --- | --- |")
        for name in STEPS:
            waits = step_on_fake_gpu(name, tables).waits
            counts = Counter(wait.place.removeprefix("raytrain/") for wait in waits)
            places = ", ".join(f"{place} ({number})" for place, number in counts.items())
            print(f"| {name} | {len(waits)} | {places} |", flush=True)


if __name__ == "__main__":
    main()
