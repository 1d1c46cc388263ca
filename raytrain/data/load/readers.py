"""Rows of a table as tensors: captions as words, pieces or token states; images as features (as pixels: pixels.py).

Letters: B rows, R regions, F features, T tokens.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from raytrain.config import names_in
from raytrain.data.load.feature_rows import FeatureRows, JoinedRows
from raytrain.data.load.image_features import ImageFeatures, global_region
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import Table
from raytrain.similarity.upload import upload

Batch = dict[str, Tensor]
CPU = torch.device("cpu")
TOKENISED_AT_ONCE = 4096


class TextReader(Protocol):
    """Captions as tensors; the readers below differ in what a token is: a state, a word or a piece."""

    longest: int

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        """The keys "text" and "text_mask" of a batch: (B, T, ...) tokens and (B, T) bool.

        Args:
            texts: (B) rows of the table's texts.
            draws: (B, longest) uniform numbers in [0, 1) that decide the augmentation; None for no augmentation.
            drop: share of the tokens that are changed.
        """
        ...

    def same(self, texts: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(B) the row of `others` where it reads as the one of `texts` to the bit, else that of `texts`.

        Args:
            texts: (B) rows of the table's texts.
            others: (B) rows with the same sentences.
        """
        ...


class TokenStates:
    """Frozen token states of the table, (B, T, F). Dropped tokens are masked, except the first and the last."""

    def __init__(self, table: Table, name: str, max_words: int, device: torch.device = CPU) -> None:
        table.feature(name, "text")
        self.rows = FeatureRows(table.array(name), device)
        offsets = np.asarray(table.offsets(name))
        self.width = self.rows.values.shape[1]
        self.longest = min(int(np.diff(offsets).max(initial=1)), max_words)
        self.first, self.lengths = offsets[:-1], np.minimum(np.diff(offsets), self.longest)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        lengths = self.lengths[texts]
        rows = self.rows.take(_ranges(self.first[texts], lengths))
        longest = int(lengths.max())
        position = np.arange(longest)
        mask = position < lengths[:, None]
        if rows.is_cuda:
            states = rows.new_zeros(mask.size, self.width)
            states[upload(torch.from_numpy(np.flatnonzero(mask)), rows.device)] = rows
        else:
            states = torch.empty(mask.size, self.width, dtype=rows.dtype)
            states.numpy()[mask.ravel()] = rows.numpy()
            states.numpy()[~mask.ravel()] = 0
        if draws is not None:
            ends = (position == 0) | (position == lengths[:, None] - 1)
            mask &= (draws[:, :longest] >= drop) | ends
        return {"text": states.view(len(texts), longest, self.width), "text_mask": torch.from_numpy(mask)}

    def same(self, texts: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The states may be of two forward passes, which differ in their last bits, or of no text model at all."""
        if isinstance(self.rows.values, Tensor):
            return texts  # a copy of the training split in a device's memory, which is not embedded
        values, first, lengths = self.rows.values, self.first, self.lengths

        def states(text: int) -> np.ndarray:
            return values[first[text] : first[text] + lengths[text]]

        equal = [
            a == b or bool(np.array_equal(states(a), states(b)))
            for a, b in zip(texts.tolist(), others.tolist(), strict=True)
        ]
        return np.where(equal, others, texts)

    def bytes_of(self, texts: np.ndarray) -> int:
        """Bytes that the states of these texts take in memory."""
        return int(self.lengths[texts].sum()) * self.rows.row_bytes

    def load_to_device(self, texts: np.ndarray) -> TokenStates:
        """A reader of only these texts, whose states are in the device's memory."""
        lengths = self.lengths[texts]
        other = copy.copy(self)
        other.rows = self.rows.load_to_device(_ranges(self.first[texts], lengths))
        other.first = np.full_like(self.first, -1)
        other.first[texts] = np.cumsum(lengths) - lengths
        return other


class TokenIds:
    """Captions as token ids between a start and an end token, (B, T).

    Augmentation as in VSE-infinity (section 3.4): of the chosen tokens, half become the mask token, a tenth a random
    token, and the rest are removed.

    Args:
        ids: the token ids of all M texts of the table, concatenated; changed in place, not copied.
        lengths: (M) number of tokens per text.
        mask: id of the mask token; -1 if there is none.
        ordinary: first and one past the last id of the tokens that are not special.
        max_words: longer captions are cut to this many tokens, with their end token kept.
    """

    def __init__(
        self, ids: np.ndarray, lengths: np.ndarray, mask: int, ordinary: tuple[int, int], max_words: int
    ) -> None:
        past = np.cumsum(lengths)
        self.ids = ids
        self.first: np.ndarray = past - lengths
        self.lengths: np.ndarray = np.minimum(lengths, max_words).astype(np.int32)
        long = lengths > max_words
        self.ids[self.first[long] + max_words - 1] = ids[past[long] - 1]  # the end token of captions that are cut
        self.mask = mask
        self.ordinary = ordinary
        self.longest = int(self.lengths.max(initial=1))

    @classmethod
    def from_words(cls, table: Table, vocabulary: Vocabulary, max_words: int) -> TokenIds:
        """The ids of the table's words in a vocabulary."""
        ordinary = (vocabulary.mask + 1, max(len(vocabulary), vocabulary.mask + 2))
        return cls(*vocabulary.numbers(table.texts["tokens"]), vocabulary.mask, ordinary, max_words)

    @classmethod
    def from_transformer(cls, table: Table, path: str, max_words: int) -> TokenIds:
        """The ids of the model's own tokeniser; without a mask token, tokens chosen for masking stay as they are."""
        from raytrain.encoders.tokens import load_text_model

        _, tokenizer = load_text_model(path)
        kind = np.min_scalar_type(len(tokenizer))
        ids, lengths = [np.empty(0, kind)], []
        for start in range(0, len(table.texts), TOKENISED_AT_ONCE):
            texts = table.texts["text"].slice(start, TOKENISED_AT_ONCE).to_pylist()
            pieces = tokenizer(texts, truncation=True, max_length=max_words)["input_ids"]
            lengths += [len(numbers) for numbers in pieces]
            ids.append(np.fromiter(chain.from_iterable(pieces), kind))
        mask = tokenizer.mask_token_id
        special = max([number for number in tokenizer.all_special_ids if number < len(tokenizer) // 2], default=0)
        ordinary = (special + 1, len(tokenizer))
        return cls(np.concatenate(ids), np.array(lengths, int), -1 if mask is None else mask, ordinary, max_words)

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        lengths = self.lengths[texts]
        ids = np.zeros((len(texts), int(lengths.max())), dtype=np.int64)
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        ids[mask] = self.ids[_ranges(self.first[texts], lengths)]
        if draws is not None and drop:
            ids, mask = self._changed(ids, mask, draws[:, : ids.shape[1]] / drop)
        return {"text": torch.from_numpy(ids), "text_mask": torch.from_numpy(mask)}

    def _changed(self, ids: np.ndarray, mask: np.ndarray, relative_draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ids, mask) after augmentation; `relative_draw`, (B, T), is below 1 at the chosen tokens."""
        position, lengths = np.arange(ids.shape[1]), mask.sum(1, keepdims=True)
        middle = (position > 0) & (position < lengths - 1)
        if self.mask >= 0:
            ids[middle & (relative_draw < 0.5)] = self.mask
        low, high = self.ordinary
        random = middle & (relative_draw >= 0.5) & (relative_draw < 0.6)
        # the position of the draw inside its tenth chooses the random token
        ids[random] = low + ((relative_draw[random] - 0.5) * 10 * (high - low)).astype(np.int64)
        kept = mask & (~middle | (relative_draw < 0.6) | (relative_draw >= 1))
        lengths = kept.sum(1, keepdims=True)
        mask = position[: lengths.max()] < lengths
        compacted = np.zeros(mask.shape, dtype=np.int64)
        compacted[mask] = ids[kept]  # the kept tokens of each row move to the left
        return compacted, mask

    def same(self, texts: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Equal sentences have equal ids."""
        return others


class ImageReader(Protocol):
    """Images as tensors; a method sees `regions` (R) vectors of `width` (F) features per image.

    `draws` uniform numbers per image decide the augmentation: R, and where images are augmented too, more.
    """

    regions: int
    width: int
    draws: int

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        """The keys "regions" and "region_mask" of a batch; an image never loses all of its regions.

        Args:
            items: (B) rows of the table's items.
            draws: (B, self.draws) uniform numbers in [0, 1); the first R decide which regions are dropped. None for no
                augmentation.
            drop: share of the regions that are dropped.
        """
        ...


class Regions:
    """Image features of the table, (B, R, F). Dropped regions are masked.

    Args:
        table: with image features.
        names: of one or several of them, as data.image_features.
        which: "all" regions, or only the "global" one (R = 1).
        device: as in FeatureRows.

    Raises:
        UsageError: no such feature, one that does not state its global region, or several with other regions.
    """

    def __init__(self, table: Table, names: str, which: str = "all", device: torch.device = CPU) -> None:
        described = {name: table.feature(name, "image") for name in names_in(names)}
        self.features = ImageFeatures.of(described, list(described), which, str(table.path))
        self.regions, self.width = self.features.regions, self.features.width
        self.draws = self.regions
        self.rows_of: list[np.ndarray] = []  # (N) of each array: the row of each item, -1 where it is not there
        parts = []
        for array in self.features.arrays:
            values = table.array(array.name)
            images, regions, width = values.shape
            row_of = np.arange(images)
            if which == "global":
                # each region becomes a row: slicing the global regions out of the array would copy it
                row_of = row_of * regions + global_region(array)
                values = values.reshape(-1, 1, width)
            self.rows_of.append(row_of)
            parts.append(FeatureRows(values, device))
        self.rows = JoinedRows(parts)

    def read(self, items: np.ndarray, draws: np.ndarray | None, drop: float) -> Batch:
        mask = kept_regions(len(items), self.regions, draws, drop)
        regions = self.rows.take([row_of[items] for row_of in self.rows_of])
        return {"regions": regions, "region_mask": torch.from_numpy(mask)}

    def bytes_of(self, items: np.ndarray) -> int:
        """Bytes that the features of these images take in memory."""
        return len(items) * self.rows.row_bytes

    def load_to_device(self, items: np.ndarray) -> Regions:
        """A reader of only these images, whose features are in the device's memory."""
        other = copy.copy(self)
        other.rows = self.rows.load_to_device([row_of[items] for row_of in self.rows_of])
        loaded = np.full(len(self.rows_of[0]), -1)
        loaded[items] = np.arange(len(items))
        other.rows_of = [loaded] * len(self.rows_of)
        return other


def kept_regions(items: int, regions: int, draws: np.ndarray | None, drop: float) -> np.ndarray:
    """(B, R) bool: the regions that stay; all of an image if every one would be dropped."""
    if draws is None:
        return np.ones((items, regions), dtype=bool)
    mask: np.ndarray = draws >= drop
    mask[~mask.any(1)] = True
    return mask


def _ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(sum of lengths): lengths[0] numbers from first[0] on, then lengths[1] from first[1] on, and so on."""
    before = np.cumsum(lengths) - lengths
    rows: np.ndarray = np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
    return rows
