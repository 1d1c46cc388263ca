"""Whether a run fits its share of a GPU: two steps on the largest batch that it can meet, before it trains."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from raytrain.config import RunConfig
from raytrain.data.table import Split
from raytrain.errors import NonFiniteError
from raytrain.training.dry_run import two_steps
from raytrain.training.input_sizes import table_sizes
from raytrain.training.memory import Estimate
from raytrain.training.run import open_tables


class Meter(Protocol):
    """Of the memory that a device gives to this process."""

    total: int
    """Bytes of the whole device."""

    def peak(self, work: Callable[[], None]) -> int:
        """Bytes that the process held at most while it did the work.

        Raises:
            torch.OutOfMemoryError: the work's own.
        """
        ...

    def held(self) -> int:
        """Bytes held at most since `peak` was asked last."""
        ...


class CudaMeter:
    """What PyTorch's allocator has taken from the GPU, which is what a share of it bounds."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.total = int(torch.cuda.get_device_properties(device).total_memory)

    def peak(self, work: Callable[[], None]) -> int:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        try:
            work()
            torch.cuda.synchronize(self.device)
            return self.held()
        finally:
            gc.collect()
            torch.cuda.empty_cache()

    def held(self) -> int:
        return int(torch.cuda.max_memory_reserved(self.device))


def estimate(config: RunConfig, device: torch.device, share: float, meter: Meter | None = None) -> Estimate:
    """What the run will hold, from two steps of a learner that is thrown away. Changes nothing of the run.

    The batch has the size that the config asks for, captions as long as the longest, every region, and where images
    come with all their captions, the images that have the most.

    Args:
        share: of the device's memory that the run may take.
        meter: default PyTorch's allocator on the GPU.

    Raises:
        UsageError, DataError: as training would.
    """
    meter = meter or CudaMeter(device)
    sizes = replace(table_sizes(config), captions=_most_captions(config))

    def steps() -> None:
        two_steps(config, sizes, device, lr=0.0)

    allowed = int(share * meter.total)
    try:
        return Estimate(meter.peak(steps), allowed)
    except torch.OutOfMemoryError:
        return Estimate(meter.held(), allowed, ran_out=True)
    except NonFiniteError:  # training will meet it, or not
        return Estimate(meter.held(), allowed)


def _most_captions(config: RunConfig) -> int:
    """Captions an image of the batch that has the most of them, rounded up."""
    split = open_tables(config)["train"]
    if not isinstance(split, Split):
        return 1
    counts = np.sort(np.bincount(split.item_of_text))[-config.optim.batch_size :]
    return max(1, int(np.ceil(counts.mean())))
