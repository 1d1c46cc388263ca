"""Rows of a table as tensors: captions as words, pieces or token states; images as features or as pixels.

Letters: B rows, R regions, F features, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from raytrain.data.images import target_pad
from raytrain.data.storage import open_image
from raytrain.data.table import Table
from raytrain.data.words import Vocabulary
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Batch = dict[str, Tensor]


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
        image = open_image(self.root, self.files[item])
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
