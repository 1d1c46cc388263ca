"""Table -> batches: which captions share a step, size augmentation, and the copy to the device.

Everything random is a function of (seed, epoch, step) and is drawn for the whole batch before a rank takes its slice:
a run gives the same batches on one rank and on many, and a resumed one the same as an uninterrupted one.

Letters: B pairs, images or queries of this rank, S captions where they are more than B, R regions, F features, T
tokens.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from raytrain.config import DataConfig
from raytrain.data.load.readers import Batch, ImageReader, TextReader
from raytrain.data.table import QuerySplit, Split
from raytrain.errors import UsageError

T = TypeVar("T")

IMAGES_AT_ONCE, TEXTS_AT_ONCE = 256, 512  # of a split that is embedded


class Batches:
    """Units of a training split, shuffled anew each epoch; the last short batch is left out.

    Args:
        units: how many there are.
        what: what they are called in an error.
        batch_size: units a step over all ranks; a multiple of `world`.
        seed: of order and augmentation.
        noise: shape of what is drawn for each unit, for a method that samples.
    """

    def __init__(
        self, units: int, what: str, batch_size: int, seed: int, rank: int, world: int, noise: tuple[int, ...]
    ) -> None:
        if batch_size % world:
            raise UsageError(f"optim.batch_size={batch_size} does not divide over {world} workers; use a multiple")
        if units < batch_size:
            raise UsageError(f"optim.batch_size={batch_size} is more than the {units} {what}")
        self.units, self.batch_size, self.seed, self.noise = units, batch_size, seed, noise
        self.steps = units // batch_size
        self.mine = slice(rank * batch_size // world, (rank + 1) * batch_size // world)

    def epoch(self, epoch: int, first_step: int = 0, ahead: int = 1) -> Iterator[Batch]:
        """This rank's batches of one epoch from `first_step` on, up to `ahead` read while the one before trains."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.units)

        def read(step: int) -> Batch:
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            random = np.random.default_rng([self.seed, epoch, step])
            batch = self.batch(chosen, random)
            if self.noise:
                drawn = random.standard_normal((self.batch_size, *self.noise), dtype=np.float32)
                batch["noise"] = torch.from_numpy(drawn[self.mine])
            return batch

        return read_ahead(read, range(first_step, self.steps), ahead)

    def batch(self, units: np.ndarray, random: np.random.Generator) -> Batch:
        """This rank's part, `mine`, of the whole batch of these units; what is drawn is drawn for the whole."""
        raise NotImplementedError


class TrainBatches(Batches):
    """Captions and images of a split.

    Args:
        split: of the table.
        regions, texts: readers of its features.
        config: augmentation.
        batch_size, seed, noise: as in `Batches`.
        unit: "pair", a caption and its image; "image", an image with all its captions, however many, so that a batch
            has B images and S captions and ranks may hold different numbers of captions. Images without a caption
            are left out.
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
        # captions of an image stand together: those of unit u are first[u] to first[u] + counts[u]
        if unit == "image":
            self.images, self.first, self.counts = np.unique(split.item_of_text, return_index=True, return_counts=True)
        else:
            self.images, self.first = split.item_of_text, np.arange(len(split.texts))
            self.counts = np.broadcast_to(1, self.first.shape)
        what = f"{'images with captions' if unit == 'image' else 'captions'} of split '{split.name}'"
        super().__init__(len(self.images), what, batch_size, seed, rank, world, noise)

    def batch(self, units: np.ndarray, random: np.random.Generator) -> Batch:
        region_draws = random.random((len(units), self.regions.regions), dtype=np.float32)
        text_draws = random.random((int(self.counts[units].sum()), self.texts.longest), dtype=np.float32)
        # everything above is the whole batch's; from here on this rank's share of it
        before = int(self.counts[units[: self.mine.start]].sum())
        units = units[self.mine]
        rows = np.concatenate([np.arange(self.first[u], self.first[u] + self.counts[u]) for u in units])
        images = self.images[units]
        return {
            **self.regions.read(self.split.items[images], region_draws[self.mine], self.config.region_drop),
            **self.texts.read(self.split.texts[rows], text_draws[before : before + len(rows)], self.config.word_drop),
            "image_id": torch.from_numpy(self.split.item_of_text[rows].astype(np.int64)),
            "item_id": torch.from_numpy(images.astype(np.int64)),
        }


class QueryBatches(Batches):
    """Composed queries of a split, each with one of its targets and one of its phrasings, drawn anew each epoch.

    Args:
        split: of the table; queries without a target are left out.
        regions, texts: readers of its features.
        config: augmentation; regions of reference and target are dropped apart.
        batch_size, seed, noise: as in `Batches`.
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
        region_draws = random.random((2, len(units), self.regions.regions), dtype=np.float32)
        text_draws = random.random((len(units), self.texts.longest), dtype=np.float32)
        first, last = split.target_offsets[queries], split.target_offsets[queries + 1]
        target = split.targets[random.integers(first, last)]  # (B) positions in the split's items
        text = split.text[queries] + random.integers(0, split.phrasings[queries])
        # everything above is the whole batch's; from here on this rank's share of it
        mine, drop = self.mine, self.config.region_drop
        reference = self.regions.read(split.items[split.reference[queries[mine]]], region_draws[0, mine], drop)
        answers = [split.targets[a:b] for a, b in zip(first[mine], last[mine], strict=True)]
        known = np.stack([np.isin(target, right) for right in answers])
        return {
            **self.regions.read(split.items[target[mine]], region_draws[1, mine], drop),
            **self.texts.read(text[mine], text_draws[mine], self.config.word_drop),
            "reference": reference["regions"],
            "reference_mask": reference["region_mask"],
            "known_positives": torch.from_numpy(known),
        }


def image_batches(items: np.ndarray, regions: ImageReader, size: int = IMAGES_AT_ONCE) -> Iterator[Batch]:
    """These rows of the table's items, in order, as they are."""
    return read_ahead(lambda start: regions.read(items[start : start + size], None, 0.0), range(0, len(items), size))


def query_batches(
    split: QuerySplit, rows: np.ndarray, regions: ImageReader, texts: TextReader, size: int = 512
) -> Iterator[Batch]:
    """These queries of the split, in order, as they are: references, and the phrasing that is evaluated."""

    def read(start: int) -> Batch:
        some = rows[start : start + size]
        reference = regions.read(split.items[split.reference[some]], None, 0.0)
        return {
            "reference": reference["regions"],
            "reference_mask": reference["region_mask"],
            **texts.read(split.text[some], None, 0.0),
        }

    return read_ahead(read, range(0, len(rows), size))


def text_batches(rows: np.ndarray, texts: TextReader, size: int = TEXTS_AT_ONCE) -> Iterator[Batch]:
    """These rows of the table's texts, in order, as they are."""
    return read_ahead(lambda start: texts.read(rows[start : start + size], None, 0.0), range(0, len(rows), size))


def read_ahead(read: Callable[[int], T], steps: Sequence[int], ahead: int = 1) -> Iterator[T]:
    """read(step) for each step, in order; up to `ahead` of them, each in a thread, while the caller works; 0: none."""
    if ahead == 0:
        yield from map(read, steps)
        return
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        try:
            following = iter(steps)
            coming.extend(pool.submit(read, step) for step in islice(following, ahead))
            while coming:
                batch = coming.popleft().result()
                coming.extend(pool.submit(read, step) for step in islice(following, 1))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


class Waited:
    """Batches, and the seconds that were spent waiting for them."""

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


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on its device, features as float32: to a GPU they travel as they are stored."""
    if device.type == "cpu":
        return batch
    moved = {
        name: tensor if tensor.is_cuda else tensor.pin_memory().to(device, non_blocking=True)
        for name, tensor in batch.items()
    }
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in moved.items()}
