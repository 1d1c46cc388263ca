"""Batches of a table: which samples share a step, reading ahead, and the copy to the device.

All random numbers are a function of (seed, epoch, step) and are drawn for the whole batch before a rank takes its
slice. So the batches are the same on one rank and on many, and in a resumed run and an uninterrupted one.

Letters: B pairs, images or queries of this rank, S captions if there are more than B, R regions, F features, T tokens.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from raytrain.config import DataConfig
from raytrain.data.load.readers import Batch, ImageReader, TextReader
from raytrain.data.table import QuerySplit, Split
from raytrain.encoders.padding import know
from raytrain.errors import UsageError
from raytrain.similarity.upload import upload

T = TypeVar("T")

IMAGES_AT_ONCE, TEXTS_AT_ONCE = 256, 512  # per batch of a split that is embedded
MASKS = {"text_mask", "region_mask", "reference_mask"}


class Batches:
    """Batches of a training split's units, shuffled anew each epoch; an incomplete last batch is left out.

    Args:
        units: number of units.
        what: what errors call the units.
        batch_size: units per step over all ranks; a multiple of `world`.
        seed: of order and augmentation.
        rank, world: of this process, and the number of processes.
        noise: shape of the standard normal noise per unit, for a method that samples; () for none.

    Attributes:
        even: whether all ranks' batches have equally many rows.

    Raises:
        UsageError: batch_size does not divide over the ranks, or is larger than the number of units.
    """

    even = True

    def __init__(
        self, units: int, what: str, batch_size: int, seed: int, rank: int, world: int, noise: tuple[int, ...]
    ) -> None:
        if batch_size % world:
            raise UsageError(f"optim.batch_size={batch_size} does not divide over {world} workers; use a multiple")
        if units < batch_size:
            most = units // world * world
            raise UsageError(f"optim.batch_size={batch_size} is more than the {units} {what}; give {most} or less")
        self.units, self.batch_size, self.seed, self.noise = units, batch_size, seed, noise
        self.steps = units // batch_size
        self.rank_slice = slice(rank * batch_size // world, (rank + 1) * batch_size // world)

    def epoch(self, epoch: int, first_step: int = 0, ahead: int = 1) -> Iterator[Batch]:
        """This rank's batches of one epoch from `first_step` on; up to `ahead` are read while an earlier one trains."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.units)

        def read(step: int) -> Batch:
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            random = np.random.default_rng([self.seed, epoch, step])
            batch = self.batch(chosen, random)
            if self.noise:
                drawn = random.standard_normal((self.batch_size, *self.noise), dtype=np.float32)
                batch["noise"] = torch.from_numpy(drawn[self.rank_slice])
            return batch

        return read_ahead(read, range(first_step, self.steps), ahead)

    def batch(self, units: np.ndarray, random: np.random.Generator) -> Batch:
        """This rank's slice of the whole batch of these units.

        Args:
            units: (batch_size) numbers of the whole batch's units.
            random: every rank draws the numbers of the whole batch from it.
        """
        raise NotImplementedError


class TrainBatches(Batches):
    """Batches of a split's captions and images.

    Args:
        split: of the table.
        regions, texts: readers of images and captions.
        config: augmentation.
        batch_size, seed, rank, world, noise: as in `Batches`.
        unit: "pair" is a caption and its image. "image" is an image with all its captions: a batch then has B images
            and S captions, and ranks may have different numbers of captions. Images without a caption are left out.
    """

    def __init__(
        self,
        split: Split,
        regions: ImageReader,
        texts: TextReader,
        config: DataConfig,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        unit: str = "pair",
        noise: tuple[int, ...] = (),
    ) -> None:
        self.split, self.regions, self.texts, self.config = split, regions, texts, config
        self.by_image = unit == "image"
        self.even = not self.by_image
        # captions are grouped by image: those of unit u are rows first[u] to first[u] + counts[u] of the split
        if self.by_image:
            self.images, self.first, self.counts = np.unique(split.item_of_text, return_index=True, return_counts=True)
        else:
            self.images, self.first = split.item_of_text, np.arange(len(split.texts))
            self.counts = np.broadcast_to(1, self.first.shape)
        what = f"{'images with captions' if unit == 'image' else 'captions'} of split '{split.name}'"
        super().__init__(len(self.images), what, batch_size, seed, rank, world, noise)

    def batch(self, units: np.ndarray, random: np.random.Generator) -> Batch:
        region_draws = random.random((len(units), self.regions.draws), dtype=np.float32)
        text_draws = random.random((int(self.counts[units].sum()), self.texts.longest), dtype=np.float32)
        # the draws above are those of the whole batch; from here on only this rank's slice is read
        before = int(self.counts[units[: self.rank_slice.start]].sum())
        image_row = np.repeat(np.arange(len(units)), self.counts[units])
        units = units[self.rank_slice]
        rows = np.concatenate([np.arange(self.first[u], self.first[u] + self.counts[u]) for u in units])
        images = self.images[units]
        row_of_text = {"image_row": torch.from_numpy(image_row[before : before + len(rows)])} if self.by_image else {}
        return {
            **row_of_text,
            **self.regions.read(self.split.items[images], region_draws[self.rank_slice], self.config.region_drop),
            **self.texts.read(self.split.texts[rows], text_draws[before : before + len(rows)], self.config.word_drop),
            "image_id": torch.from_numpy(self.split.item_of_text[rows].astype(np.int64)),
            "item_id": torch.from_numpy(images.astype(np.int64)),
        }


class QueryBatches(Batches):
    """Batches of a split's composed queries, each with one of its targets and phrasings, drawn anew each epoch.

    Args:
        split: of the table; queries without a target are left out.
        regions, texts: readers of images and texts.
        config: augmentation; regions of reference and target are dropped independently.
        batch_size, seed, rank, world, noise: as in `Batches`.
    """

    def __init__(
        self,
        split: QuerySplit,
        regions: ImageReader,
        texts: TextReader,
        config: DataConfig,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        noise: tuple[int, ...] = (),
    ) -> None:
        self.split, self.regions, self.texts, self.config = split, regions, texts, config
        self.answered = np.flatnonzero(np.diff(split.target_offsets))
        what = f"queries with a target of split '{split.name}'"
        super().__init__(len(self.answered), what, batch_size, seed, rank, world, noise)

    def batch(self, units: np.ndarray, random: np.random.Generator) -> Batch:
        split, queries = self.split, self.answered[units]
        region_draws = random.random((2, len(units), self.regions.draws), dtype=np.float32)
        text_draws = random.random((len(units), self.texts.longest), dtype=np.float32)
        first, last = split.target_offsets[queries], split.target_offsets[queries + 1]
        target = split.targets[random.integers(first, last)]  # (B) positions in the split's items
        text = split.text[queries] + random.integers(0, split.phrasings[queries])
        # the draws above are those of the whole batch; from here on only this rank's slice is read
        part, drop = self.rank_slice, self.config.region_drop
        reference = self.regions.read(split.items[split.reference[queries[part]]], region_draws[0, part], drop)
        targets = [split.targets[start:end] for start, end in zip(first[part], last[part], strict=True)]
        known_positives = np.stack([np.isin(target, targets_of_query) for targets_of_query in targets])
        return {
            **self.regions.read(split.items[target[part]], region_draws[1, part], drop),
            **self.texts.read(text[part], text_draws[part], self.config.word_drop),
            "reference": reference["regions"],
            "reference_mask": reference["region_mask"],
            "known_positives": torch.from_numpy(known_positives),
        }


def image_batches(items: np.ndarray, regions: ImageReader, size: int = IMAGES_AT_ONCE) -> Iterator[Batch]:
    """Batches of these rows of the table's items, in order, without augmentation."""
    return read_ahead(lambda start: regions.read(items[start : start + size], None, 0.0), range(0, len(items), size))


def query_batches(
    split: QuerySplit,
    rows: np.ndarray,
    regions: ImageReader,
    texts: TextReader,
    size: int = 512,
    source: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Batches of these queries of the split, in order, without augmentation: references and first phrasings.

    Args:
        split: of the table.
        rows: (Q) positions of the queries.
        regions, texts: readers of images and texts.
        size: queries per batch.
        source: (Q) row of the text that stands for each query's own. A batch then has each text once: "text" and
            "text_mask" (T, ...) of the distinct ones, and "text_row" (B), which of them each query has.
    """

    def read(start: int) -> Batch:
        chunk = rows[start : start + size]
        reference = regions.read(split.items[split.reference[chunk]], None, 0.0)
        batch = {"reference": reference["regions"], "reference_mask": reference["region_mask"]}
        if source is None:
            return {**batch, **texts.read(split.text[chunk], None, 0.0)}
        distinct, row = np.unique(source[start : start + size], return_inverse=True)
        return {**batch, **texts.read(distinct, None, 0.0), "text_row": torch.from_numpy(row)}

    return read_ahead(read, range(0, len(rows), size))


def text_batches(rows: np.ndarray, texts: TextReader, size: int = TEXTS_AT_ONCE) -> Iterator[Batch]:
    """Batches of these rows of the table's texts, in order, without augmentation."""
    return read_ahead(lambda start: texts.read(rows[start : start + size], None, 0.0), range(0, len(rows), size))


def read_ahead(read: Callable[[int], T], steps: Sequence[int], ahead: int = 1) -> Iterator[T]:
    """read(step) for each step, in order; up to `ahead` steps are read in threads while the caller works."""
    if ahead == 0:
        yield from map(read, steps)
        return
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        try:
            remaining = iter(steps)
            pending.extend(pool.submit(read, step) for step in islice(remaining, ahead))
            while pending:
                batch = pending.popleft().result()
                pending.extend(pool.submit(read, step) for step in islice(remaining, 1))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


class TimedBatches:
    """Iterates over batches and adds up the seconds spent waiting for them in `seconds`."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            started = time.monotonic()
            batch = next(self.batches, None)
            self.seconds += time.monotonic() - started
            if batch is None:
                return
            yield batch


def uploaded(batches: Iterable[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    """Batches, each a list of its parts, on the device.

    A GPU copies each on a stream of its own, while it still trains on the one before.
    """
    if device.type != "cuda":
        for parts in batches:
            yield [to_device(part, device) for part in parts]
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for parts in batches:
        with torch.cuda.stream(copying):
            moved = [to_device(part, device) for part in parts]
        training = torch.cuda.current_stream(device)
        training.wait_stream(copying)
        for part in moved:
            for tensor in part.values():
                tensor.record_stream(training)  # its memory is not given away while a step reads it
        yield moved


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on its device, floats as float32; they are copied to a GPU in the type in which they are stored.

    What its masks hold stays known on the host (raytrain/encoders/padding.py).
    """
    if device.type == "cpu" or all(tensor.device.type == device.type for tensor in batch.values()):
        return batch
    moved = {name: upload(tensor, device) for name, tensor in batch.items()}
    for name in MASKS & batch.keys():
        if batch[name].device.type == "cpu":
            know(moved[name], batch[name])
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in moved.items()}
