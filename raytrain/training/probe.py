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
    """Measures the memory that this process holds on a device."""

    total: int
    """Bytes of the whole device."""

    def peak(self, work: Callable[[], None]) -> int:
        """The most bytes that the process held while it did the work.

        Raises:
            torch.OutOfMemoryError: the work ran out of memory.
        """
        ...

    def held(self) -> int:
        """The most bytes held since the last call of `peak` began."""
        ...


class CudaMeter:
    """Measures what PyTorch's allocator has reserved on the GPU; a run's share of the GPU bounds that number."""

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
    """The memory that the run will hold, from two steps of a model that is thrown away. The run itself is not touched.

    The batch has the config's batch size, captions as long as the table's longest, all regions, and, where images come
    with all their captions, the images with the most captions.

    Args:
        share: fraction of the device's memory that the run may take.
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
    except NonFiniteError:  # of a random batch: whether training meets it too is for training to see
        return Estimate(meter.held(), allowed)


def _most_captions(config: RunConfig) -> int:
    """Captions per image in the batch that has the most of them, rounded up."""
    split = open_tables(config)["train"]
    if not isinstance(split, Split):
        return 1
    counts = np.sort(np.bincount(split.item_of_text))[-config.optim.batch_size :]
    return max(1, int(np.ceil(counts.mean())))
