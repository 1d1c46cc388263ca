"""Table -> batches: which captions share a step, size augmentation, and the copy to the device.

Everything random is a function of (seed, epoch, step) and is drawn for the whole batch before a rank takes its slice:
a run gives the same batches on one rank and on many, and a resumed one the same as an uninterrupted one.

Letters: B pairs, images or queries of this rank, S captions where they are more than B, R regions, F features, T
tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from raytrain.config import DataConfig
from raytrain.data.images import decode, target_pad
from raytrain.data.paths import contained
from raytrain.data.queries import QuerySplit
from raytrain.data.table import Split, Table
from raytrain.data.words import Vocabulary
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Batch = dict[str, Tensor]
T = TypeVar("T")


class TextReader(Protocol):
    """Captions as tensors; the three kinds below differ in what a token is."""

    longest: int

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        """text and text_mask of these texts.

        Args:
            texts: (B) rows of the table's texts.
            draws: (B, longest) uniform numbers that decide the augmentation; None reads captions as they are.
            drop: share of the tokens that are changed.
        """
        ...


class TokenStates:
    """Frozen token states of the table: (B, T, F). Dropped tokens are masked; the first and last always stay."""

    def __init__(self, table: Table, name: str, max_words: int) -> None:
        table.feature(name, "text")
        self.states = table.array(name)
        self.offsets = np.asarray(table.offsets(name))
        self.longest = min(int(np.diff(self.offsets).max(initial=1)), max_words)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        start = self.offsets[texts]
        lengths = np.minimum(self.offsets[texts + 1] - start, self.longest)
        states = np.zeros((len(texts), int(lengths.max()), self.states.shape[1]), dtype=np.float32)
        for row, (first, length) in enumerate(zip(start, lengths, strict=True)):
            states[row, :length] = self.states[first : first + length]
        position = np.arange(states.shape[1])
        mask = position < lengths[:, None]
        if draws is not None:
            ends = (position == 0) | (position == lengths[:, None] - 1)
            mask &= (draws[:, : states.shape[1]] >= drop) | ends
        return {"text": torch.from_numpy(states), "text_mask": torch.from_numpy(mask)}


class TokenIds:
    """Captions as numbers between a start and an end token: (B, T).

    Augmentation as in VSE-infinity (section 3.4): of the tokens chosen, half become the mask token, a tenth a random
    token, and the rest are removed.

    Args:
        ids: one list a text of the table.
        mask: number of the mask token.
        ordinary: first and one past the last number that is no special token.
        max_words: longer captions are cut, their end token kept.
    """

    def __init__(self, ids: list[list[int]], mask: int, ordinary: tuple[int, int], max_words: int) -> None:
        self.ids = [np.array(i if len(i) <= max_words else [*i[: max_words - 1], i[-1]], dtype=np.int64) for i in ids]
        self.mask = mask
        self.ordinary = ordinary
        self.longest = max((len(i) for i in self.ids), default=1)

    @classmethod
    def from_words(cls, table: Table, vocabulary: Vocabulary, max_words: int) -> TokenIds:
        ids = [vocabulary.ids(tokens) for tokens in table.texts["tokens"].to_pylist()]
        return cls(ids, vocabulary.mask, (vocabulary.mask + 1, max(len(vocabulary), vocabulary.mask + 2)), max_words)

    @classmethod
    def from_transformer(cls, table: Table, path: str, max_words: int) -> TokenIds:
        """Pieces of the model's own tokeniser; a model without a mask token keeps a chosen piece as it is."""
        from raytrain.encoders.tokens import load_text_model

        _, tokenizer = load_text_model(path)
        ids = tokenizer(table.texts["text"].to_pylist(), truncation=True, max_length=max_words)["input_ids"]
        mask = tokenizer.mask_token_id
        special = max([number for number in tokenizer.all_special_ids if number < len(tokenizer) // 2], default=0)
        return cls(ids, -1 if mask is None else mask, (special + 1, len(tokenizer)), max_words)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        rows = [self.ids[text] for text in texts]
        if draws is not None:
            rows = [self._change(row, draw, drop) for row, draw in zip(rows, draws, strict=True)]
        lengths = np.array([len(row) for row in rows])
        ids = np.zeros((len(rows), int(lengths.max())), dtype=np.int64)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = values
        return {
            "text": torch.from_numpy(ids),
            "text_mask": torch.from_numpy(np.arange(ids.shape[1]) < lengths[:, None]),
        }

    def _change(self, row: np.ndarray, draw: np.ndarray, drop: float) -> np.ndarray:
        if len(row) < 3:
            return row  # nothing between start and end
        share = draw[1 : len(row) - 1] / drop if drop else np.ones(len(row) - 2)
        middle = row[1:-1].copy()
        if self.mask >= 0:
            middle[share < 0.5] = self.mask
        low, high = self.ordinary
        random = (share >= 0.5) & (share < 0.6)
        # what is left of the draw inside its tenth chooses the word
        middle[random] = low + ((share[random] - 0.5) * 10 * (high - low)).astype(np.int64)
        kept = (share < 0.6) | (share >= 1)
        return np.concatenate([row[:1], middle[kept], row[-1:]])


class ImageReader(Protocol):
    """Images as tensors; `regions` is R, and `width` F of what a method sees of each."""

    regions: int
    width: int

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        """regions and region_mask of these images; an image never loses all of its regions.

        Args:
            items: (B) rows of the table's items.
            draws: (B, R) uniform numbers that decide which regions are dropped; None keeps all of them.
            drop: share of the regions that are dropped.
        """
        ...


class Pixels:
    """The images themselves, read and prepared as they are needed: (B, 3, H, W), for a backbone that trains.

    Args:
        table: whose images are there.
        prepare: an RGB image -> (3, H, W).
        regions, width: of the backbone, for the masks.
        pad: ratio of `target_pad`; None leaves images as they are.
        threads: that read images.
    """

    def __init__(
        self,
        table: Table,
        prepare: Callable[[Image], Tensor],
        regions: int,
        width: int,
        pad: float | None = None,
        threads: int = 4,
    ) -> None:
        self.root, self.files = table.image_root, table.items["file"].to_pylist()
        if not any(self.files):
            raise UsageError(f"{table.path} names no image files; encoder.image.kind=transformer reads the images")
        self.prepare, self.regions, self.width, self.pad = prepare, regions, width, pad
        self.pool = ThreadPoolExecutor(threads)

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        pixels = torch.stack(list(self.pool.map(self._one, items.tolist())))
        return {"regions": pixels, "region_mask": torch.from_numpy(_kept(len(items), self.regions, draws, drop))}

    def _one(self, item: int) -> Tensor:
        image = decode(contained(self.root, self.files[item]))
        return self.prepare(image if self.pad is None else target_pad(image, self.pad))


class Regions:
    """Image features of the table: (B, R, F). Dropped regions are masked."""

    def __init__(self, table: Table, name: str, which: str = "all") -> None:
        """Of the image feature `name`, all regions, or the "global" one alone."""
        feature = table.feature(name, "image")
        self.features = table.array(name)
        if which == "global":
            place = feature.encoder.get("global_index", 0 if feature.shape[1] == 1 else None)
            if place is None:
                raise UsageError(
                    f"image feature '{name}' of {table.path} says no global_index; data.regions=global needs features "
                    "made by `raytrain data encode`"
                )
            self.features = self.features[:, place : place + 1]
        self.regions, self.width = self.features.shape[1:]

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        regions = self.features[items].astype(np.float32)
        mask = _kept(len(items), self.regions, draws, drop)
        return {"regions": torch.from_numpy(regions), "region_mask": torch.from_numpy(mask)}


def _kept(items: int, regions: int, draws: np.ndarray | None, drop: float) -> np.ndarray:
    """(B, R) bool, what is left of each image."""
    if draws is None:
        return np.ones((items, regions), dtype=bool)
    mask: np.ndarray = draws >= drop
    mask[~mask.any(1)] = True
    return mask


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

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """This rank's batches of one epoch from `first_step` on, each read while the one before it trains."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.units)

        def read(step: int) -> Batch:
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            random = np.random.default_rng([self.seed, epoch, step])
            batch = self.batch(chosen, random)
            if self.noise:
                drawn = random.standard_normal((self.batch_size, *self.noise), dtype=np.float32)
                batch["noise"] = torch.from_numpy(drawn[self.mine])
            return batch

        return read_ahead(read, range(first_step, self.steps))

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
            self.counts = np.ones_like(self.first)
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


def image_batches(items: np.ndarray, regions: ImageReader, size: int = 256) -> Iterator[Batch]:
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


def text_batches(rows: np.ndarray, texts: TextReader, size: int = 512) -> Iterator[Batch]:
    """These rows of the table's texts, in order, as they are."""
    return read_ahead(lambda start: texts.read(rows[start : start + size], None, 0.0), range(0, len(rows), size))


def read_ahead(read: Callable[[int], T], steps: range) -> Iterator[T]:
    """read(step) for each step, the next one in a thread while the caller works on this one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, steps[0]) if len(steps) else None
        for step in steps:
            assert coming is not None
            batch = coming.result()
            following = step + steps.step
            coming = pool.submit(read, following) if following < steps.stop else None
            yield batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()}
