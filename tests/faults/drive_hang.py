"""One of two ranks of a run, which the second one can hold up for ever in the second epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch.distributed as dist

from raytrain.config import override
from raytrain.training import fit as loop
from raytrain.training.run import open_tables, resumable
from raytrain.training.train_state import TrainState
from tests.runs import small_run


def sleep_for_ever() -> None:
    time.sleep(10_000)


def main(folder: str, number: int, hang: bool) -> None:
    rendezvous = f"file://{folder}/rendezvous-{'first' if hang else 'second'}"
    dist.init_process_group("gloo", init_method=rendezvous, rank=number, world_size=2)
    config = override(small_run(Path(folder), num_epochs=3), {"name": "held"})
    if hang and number == 1:
        train_step = loop.train_step

        def held_up(state: TrainState, *given: Any) -> Any:
            if state.epoch == 1:
                sleep_for_ever()
            return train_step(state, *given)

        loop.train_step = held_up
    loop.fit(config, open_tables(config), resume_from=resumable(config).path)
    dist.destroy_process_group()
