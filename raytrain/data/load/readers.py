"""Rows of a table as tensors: captions as words, pieces or token states; images as features or as pixels.

Letters: B rows, R regions, F features, T tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from raytrain.data.images import target_pad
from raytrain.data.load.feature_rows import FeatureRows
from raytrain.data.load.words import Vocabulary
from raytrain.data.storage import open_image
from raytrain.data.table import Table
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Batch = dict[str, Tensor]
CPU = torch.device("cpu")
TOKENISED_AT_ONCE = 4096


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

    def __init__(self, table: Table, name: str, max_words: int, device: torch.device = CPU) -> None:
        table.feature(name, "text")
        self.rows = FeatureRows(table.array(name), device)
        offsets = np.asarray(table.offsets(name))
        self.width = self.rows.values.shape[1]
        self.longest = min(int(np.diff(offsets).max(initial=1)), max_words)
        self.first, self.lengths = offsets[:-1], np.minimum(np.diff(offsets), self.longest)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        lengths = self.lengths[texts]
        found = self.rows.take(_ranges(self.first[texts], lengths))
        longest = int(lengths.max())
        position = np.arange(longest)
        mask = position < lengths[:, None]
        if found.is_cuda:
            states = found.new_zeros(mask.size, self.width)
            states[torch.from_numpy(np.flatnonzero(mask)).to(found.device)] = found
        else:
            states = torch.empty(mask.size, self.width, dtype=found.dtype)
            states.numpy()[mask.ravel()] = found.numpy()
            states.numpy()[~mask.ravel()] = 0
        if draws is not None:
            ends = (position == 0) | (position == lengths[:, None] - 1)
            mask &= (draws[:, :longest] >= drop) | ends
        return {"text": states.view(len(texts), longest, self.width), "text_mask": torch.from_numpy(mask)}

    def bytes_of(self, texts: np.ndarray) -> int:
        """What holding these texts takes."""
        return int(self.lengths[texts].sum()) * self.rows.row_bytes

    def held(self, texts: np.ndarray) -> TokenStates:
        """A reader of these texts alone, whose states are in the device's memory."""
        lengths = self.lengths[texts]
        other = copy.copy(self)
        other.rows = self.rows.held(_ranges(self.first[texts], lengths))
        other.first = np.full_like(self.first, -1)
        other.first[texts] = np.cumsum(lengths) - lengths
        return other


class TokenIds:
    """Captions as numbers between a start and an end token: (B, T).

    Augmentation as in VSE-infinity (section 3.4): of the tokens chosen, half become the mask token, a tenth a random
    token, and the rest are removed.

    Args:
        ids: the numbers of all texts of the table, one text after the other; taken over, not copied.
        lengths: (M) how many each text has.
        mask: number of the mask token.
        ordinary: first and one past the last number that is no special token.
        max_words: longer captions are cut, their end token kept.
    """

    def __init__(
        self, ids: np.ndarray, lengths: np.ndarray, mask: int, ordinary: tuple[int, int], max_words: int
    ) -> None:
        past = np.cumsum(lengths)
        self.ids = ids
        self.first: np.ndarray = past - lengths
        self.lengths: np.ndarray = np.minimum(lengths, max_words).astype(np.int32)
        long = lengths > max_words
        self.ids[self.first[long] + max_words - 1] = ids[past[long] - 1]  # the end token, where the caption is cut
        self.mask = mask
        self.ordinary = ordinary
        self.longest = int(self.lengths.max(initial=1))

    @classmethod
    def from_words(cls, table: Table, vocabulary: Vocabulary, max_words: int) -> TokenIds:
        """Words of the table, numbered by the vocabulary."""
        ordinary = (vocabulary.mask + 1, max(len(vocabulary), vocabulary.mask + 2))
        return cls(*vocabulary.numbers(table.texts["tokens"]), vocabulary.mask, ordinary, max_words)

    @classmethod
    def from_transformer(cls, table: Table, path: str, max_words: int) -> TokenIds:
        """Pieces of the model's own tokeniser; a model without a mask token keeps a chosen piece as it is."""
        from raytrain.encoders.tokens import load_text_model

        _, tokenizer = load_text_model(path)
        kind = np.min_scalar_type(len(tokenizer))
        ids, lengths = [np.empty(0, kind)], []
        for start in range(0, len(table.texts), TOKENISED_AT_ONCE):
            texts = table.texts["text"].slice(start, TOKENISED_AT_ONCE).to_pylist()
            found = tokenizer(texts, truncation=True, max_length=max_words)["input_ids"]
            lengths += [len(numbers) for numbers in found]
            ids.append(np.fromiter(chain.from_iterable(found), kind))
        mask = tokenizer.mask_token_id
        special = max([number for number in tokenizer.all_special_ids if number < len(tokenizer) // 2], default=0)
        ordinary = (special + 1, len(tokenizer))
        return cls(np.concatenate(ids), np.array(lengths, int), -1 if mask is None else mask, ordinary, max_words)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        lengths = self.lengths[texts]
        ids = np.zeros((len(texts), int(lengths.max())), dtype=np.int64)
        there = np.arange(ids.shape[1]) < lengths[:, None]
        ids[there] = self.ids[_ranges(self.first[texts], lengths)]
        if draws is not None and drop:
            ids, there = self._changed(ids, there, draws[:, : ids.shape[1]] / drop)
        return {"text": torch.from_numpy(ids), "text_mask": torch.from_numpy(there)}

    def _changed(self, ids: np.ndarray, there: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and mask after augmentation; `share`, (B, T), is below 1 at the tokens that are chosen."""
        position, lengths = np.arange(ids.shape[1]), there.sum(1, keepdims=True)
        middle = (position > 0) & (position < lengths - 1)
        if self.mask >= 0:
            ids[middle & (share < 0.5)] = self.mask
        low, high = self.ordinary
        random = middle & (share >= 0.5) & (share < 0.6)
        # what is left of the draw inside its tenth chooses the word
        ids[random] = low + ((share[random] - 0.5) * 10 * (high - low)).astype(np.int64)
        kept = there & (~middle | (share < 0.6) | (share >= 1))
        lengths = kept.sum(1, keepdims=True)
        there = position[: lengths.max()] < lengths
        closed = np.zeros(there.shape, dtype=np.int64)
        closed[there] = ids[kept]  # row by row, what is kept moves to the left
        return closed, there


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
        image = open_image(self.root, self.files[item])
        return self.prepare(image if self.pad is None else target_pad(image, self.pad))


class Regions:
    """Image features of the table: (B, R, F). Dropped regions are masked."""

    def __init__(self, table: Table, name: str, which: str = "all", device: torch.device = CPU) -> None:
        """Of the image feature `name`, all regions, or the "global" one alone."""
        feature = table.feature(name, "image")
        features = table.array(name)
        images, self.regions, self.width = features.shape
        self.row_of: np.ndarray = np.arange(images)
        if which == "global":
            place = feature.encoder.get("global_index", 0 if self.regions == 1 else None)
            if place is None:
                raise UsageError(
                    f"image feature '{name}' of {table.path} says no global_index; data.regions=global needs features "
                    "made by `raytrain data encode`"
                )
            # a region is a row: taking from the middle of larger ones would copy the array
            self.row_of = self.row_of * self.regions + place
            features, self.regions = features.reshape(-1, 1, self.width), 1
        self.rows = FeatureRows(features, device)

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        mask = _kept(len(items), self.regions, draws, drop)
        return {"regions": self.rows.take(self.row_of[items]), "region_mask": torch.from_numpy(mask)}

    def bytes_of(self, items: np.ndarray) -> int:
        """What holding these images takes."""
        return len(items) * self.rows.row_bytes

    def held(self, items: np.ndarray) -> Regions:
        """A reader of these images alone, whose features are in the device's memory."""
        other = copy.copy(self)
        other.rows = self.rows.held(self.row_of[items])
        other.row_of = np.full_like(self.row_of, -1)
        other.row_of[items] = np.arange(len(items))
        return other


def _kept(items: int, regions: int, draws: np.ndarray | None, drop: float) -> np.ndarray:
    """(B, R) bool, what is left of each image."""
    if draws is None:
        return np.ones((items, regions), dtype=bool)
    mask: np.ndarray = draws >= drop
    mask[~mask.any(1)] = True
    return mask


def _ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... up to lengths[0] of them, then those of the next."""
    before = np.cumsum(lengths) - lengths
    rows: np.ndarray = np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
    return rows
