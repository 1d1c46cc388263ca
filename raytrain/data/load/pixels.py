"""Pixels of a table's images for a backbone that trains: decoded and prepared by threads, or by processes."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raytrain.data.images import target_pad
from raytrain.data.load.augmentation import Augmentation
from raytrain.data.load.readers import Batch, kept_regions
from raytrain.data.storage import Root, open_image
from raytrain.data.table import Table
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

THREADS = 4


@dataclass(frozen=True)
class ImageLoader:
    """One image after the other, from its file to pixels; it travels to the processes that load.

    Args:
        root: of the image files.
        files: of the table's items.
        prepare: RGB image -> (3, H, W) pixels.
        pad: ratio of `target_pad`; None for no padding.
        augmentation: in training.
        draft_side: in training a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where both sides keep this many pixels;
            None for no such thing.
    """

    root: Root
    files: list[str]
    prepare: Callable[[Image], Tensor]
    pad: float | None = None
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 (frozen)
    draft_side: int | None = None

    def __call__(self, items: list[int], draws: list[list[float]] | None) -> Tensor:
        """(B, 3, H, W) pixels of these rows of the table's items.

        Args:
            draws: the numbers of the augmentation per image; None outside training.
        """
        return torch.stack([self._load(item, None if draws is None else draws[row]) for row, item in enumerate(items)])

    def _load(self, item: int, draws: list[float] | None) -> Tensor:
        image = open_image(self.root, self.files[item], None if draws is None else self.draft_side)
        image = image if self.pad is None else target_pad(image, self.pad)
        return self.prepare(self.augmentation(image, draws) if draws else image)


class Pixels:
    """Pixels (B, 3, H, W) for a backbone that trains, read from the image files of each batch.

    Batches are read ahead of training (`feed.read_ahead`), and no further: that bounds what waits here.

    Args:
        table: with image files.
        prepare: RGB image -> (3, H, W) pixels; for processes it must pickle.
        regions, width: R and F of the backbone's output.
        pad: ratio of `target_pad`; None for no padding.
        augmentation: in training; `draws` beyond R are its numbers.
        draft_side: as in ImageLoader.
        processes: that decode and prepare; 0 for THREADS threads of this one.

    Raises:
        UsageError: the table names no image files.
    """

    def __init__(
        self,
        table: Table,
        prepare: Callable[[Image], Tensor],
        regions: int,
        width: int,
        pad: float | None = None,
        augmentation: Augmentation | None = None,
        draft_side: int | None = None,
        processes: int = 0,
    ) -> None:
        files = table.items["file"].to_pylist()
        if not any(files):
            raise UsageError(f"{table.path} names no image files; encoder.image.kind=transformer reads the images")
        augmentation = augmentation or Augmentation()
        self.loader = ImageLoader(table.image_root, files, prepare, pad, augmentation, draft_side)
        self.regions, self.width, self.draws = regions, width, regions + augmentation.draws
        self.workers = processes or THREADS
        self.pool: Executor = ThreadPoolExecutor(THREADS)
        self.load: Callable[[list[int], list[list[float]] | None], Tensor] = self.loader
        if processes:
            # not forked: the parent has threads, and may have a GPU
            context = multiprocessing.get_context("forkserver")
            self.pool = ProcessPoolExecutor(processes, context, _keep_loader, (self.loader,))
            self.load = _load_here

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        kept = None if draws is None else draws[:, : self.regions]
        of_images = None if draws is None else draws[:, self.regions :].tolist()
        size = math.ceil(len(items) / self.workers)
        parts = [slice(first, first + size) for first in range(0, len(items), size)]
        loaded = [
            self.pool.submit(self.load, items[part].tolist(), None if of_images is None else of_images[part])
            for part in parts
        ]
        pixels = torch.cat([future.result() for future in loaded])
        return {"regions": pixels, "region_mask": torch.from_numpy(kept_regions(len(items), self.regions, kept, drop))}


_loader: ImageLoader | None = None
"""Of a process that loads."""


def _keep_loader(loader: ImageLoader) -> None:
    global _loader
    torch.set_num_threads(1)
    _loader = loader


def _load_here(items: list[int], draws: list[list[float]] | None) -> Tensor:
    assert _loader is not None
    return _loader(items, draws)
