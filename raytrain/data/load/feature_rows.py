"""Rows of a feature array as tensors: gathered from a mapped file, or from a device's memory that holds a split.

A batch is copied once, from the page cache into memory recycled from an earlier batch, since writing to used pages
takes half the time of fresh ones. The system is told the rows before they are read, so that a disk reads them in
parallel. The copies avoid PyTorch's threads: a second pool next to the one that trains would make both wait.

Letters: N rows of the array, B rows of a batch.
"""

from __future__ import annotations

import math
import os
import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raytrain.similarity.upload import upload

COPY_BYTES = 2**26  # per copy while a split is loaded into memory
CACHED_BYTES = 2**20  # of fp16 rows per cast, so that they stay in the processor's cache
ONE_THREAD_NUMBERS = 2**15 - 2**8  # PyTorch casts this many in the calling thread, and 2**15 in several


class FeatureRows:
    """Rows of an array of features.

    Args:
        values: (N, ...) array, memory-mapped or in memory.
        device: where batches are used. For a GPU, rows come in the stored type and in pinned memory, to be cast there;
            for the CPU they come as float32.
    """

    def __init__(self, values: np.ndarray | Tensor, device: torch.device) -> None:
        self.values = values if isinstance(values, Tensor) else np.asarray(values)
        self.device = device
        self.row_bytes = math.prod(values.shape[1:]) * values.dtype.itemsize
        self._recycled = Recycled()
        self._file: int | None = None
        self._offset = 0
        if isinstance(values, np.memmap) and values.filename is not None and hasattr(os, "posix_fadvise"):
            self._file, self._offset = os.open(values.filename, os.O_RDONLY), values.offset
            weakref.finalize(self, os.close, self._file)

    def take(self, rows: np.ndarray) -> Tensor:
        """(B, ...) these rows, in the given order; on the CPU their memory is reused once no tensor refers to it.

        Args:
            rows: (B) row numbers in [0, N).
        """
        assert len(rows) == 0 or (rows.min() >= 0 and rows.max() < len(self.values)), "a row that is not there"
        if isinstance(self.values, Tensor):
            return self.values.index_select(0, upload(torch.from_numpy(rows), self.values.device)).float()
        self.announce(rows)
        out = batch_memory((len(rows), *self.values.shape[1:]), self.values.dtype, self.device, self._recycled)
        self.fill(rows, out)
        return out

    def fill(self, rows: np.ndarray, out: Tensor) -> None:
        """Writes these rows of the mapped array to `out`, cast to its type.

        Args:
            rows: as of `take`.
            out: (B, ..., F) in the processor's memory; it may be a slice of a larger tensor's last axis.
        """
        assert isinstance(self.values, np.ndarray)
        if out.is_contiguous() and out.dtype == _dtype(self.values.dtype):
            _copy(self.values, rows, out.numpy())
            return
        width = self.values.shape[-1]
        step, at_once = max(1, CACHED_BYTES // self.row_bytes), max(1, ONE_THREAD_NUMBERS // width)
        chunk = np.empty((min(step, len(rows)), *self.values.shape[1:]), self.values.dtype)
        for start in range(0, len(rows), step):
            part = chunk[: len(rows[start : start + step])]
            _copy(self.values, rows[start : start + step], part)
            source, target = torch.from_numpy(part).view(-1, width), out[start : start + step].view(-1, width)
            for first in range(0, len(source), at_once):
                target[first : first + at_once].copy_(source[first : first + at_once])

    def load_to_device(self, rows: np.ndarray) -> FeatureRows:
        """Only these rows, in the stored type, renumbered from 0, in the memory of `device`."""
        assert isinstance(self.values, np.ndarray)
        memory = torch.empty((len(rows), *self.values.shape[1:]), dtype=_dtype(self.values.dtype), device=self.device)
        step = max(1, COPY_BYTES // self.row_bytes)
        for start in range(0, len(rows), step):
            chunk, place = rows[start : start + step], memory[start : start + step]
            if self.device.type == "cuda":
                place.copy_(self.take(chunk))
            else:
                self.announce(chunk)
                _copy(self.values, chunk, place.numpy())
        return FeatureRows(memory if self.device.type == "cuda" else memory.numpy(), self.device)

    def announce(self, rows: np.ndarray) -> None:
        """Tells the system which rows are read next, in the file's order, so that it reads them in the background."""
        if self._file is None or len(rows) == 0:
            return
        ordered = np.unique(rows)
        first = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 2) > 1)  # of each run of neighbours
        sizes = np.diff(first, append=len(ordered))
        for row, size in zip(ordered[first].tolist(), sizes.tolist(), strict=True):
            place = self._offset + row * self.row_bytes
            os.posix_fadvise(self._file, place, size * self.row_bytes, os.POSIX_FADV_WILLNEED)


class JoinedRows:
    """Rows of several arrays, joined along their last axis; nothing but the rows of a batch is copied.

    Args:
        parts: arrays (N_i, ..., F_i) for the same device.
    """

    def __init__(self, parts: Sequence[FeatureRows]) -> None:
        self.parts = parts
        self.row_bytes = sum(part.row_bytes for part in parts)
        self._recycled = Recycled()

    def take(self, rows: Sequence[np.ndarray]) -> Tensor:
        """(B, ..., sum of F_i), in the type and the memory of FeatureRows.take; of several types the wider one.

        Args:
            rows: for each part, its (B) row numbers.
        """
        if len(self.parts) == 1:
            return self.parts[0].take(rows[0])
        pairs = list(zip(self.parts, rows, strict=True))
        arrays = [part.values for part in self.parts if isinstance(part.values, np.ndarray)]
        if len(arrays) < len(self.parts):
            return torch.cat([part.take(chosen) for part, chosen in pairs], -1)
        for part, chosen in pairs:
            part.announce(chosen)
        shape = (len(rows[0]), *arrays[0].shape[1:-1], sum(a.shape[-1] for a in arrays))
        out = batch_memory(shape, np.result_type(*arrays), self.parts[0].device, self._recycled)
        slices = torch.split(out, [a.shape[-1] for a in arrays], -1)
        for (part, chosen), place in zip(pairs, slices, strict=True):
            part.fill(chosen, place)
        return out

    def load_to_device(self, rows: Sequence[np.ndarray]) -> JoinedRows:
        """As of FeatureRows, for each part."""
        return JoinedRows([part.load_to_device(chosen) for part, chosen in zip(self.parts, rows, strict=True)])


class Recycled:
    """float32 memory that is reused once no tensor refers to it, whether in a variable or in an autograd graph."""

    def __init__(self) -> None:
        self._idle: deque[np.ndarray] = deque()

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """An uninitialised tensor of this shape."""
        size = math.prod(shape)
        try:
            memory = self._idle.pop()
        except IndexError:  # none is idle, or another thread took the last one
            memory = np.empty(0, np.float32)
        if len(memory) < size:  # it served smaller batches: freed, and replaced by a larger one
            memory = np.empty(size, np.float32)
        view = memory[:size].reshape(shape)
        # the tensor's storage owns `view`, which is freed with the last tensor that uses the storage
        weakref.finalize(view, self._idle.append, memory).atexit = False
        return torch.from_numpy(view)


def batch_memory(shape: tuple[int, ...], dtype: np.dtype, device: torch.device, recycled: Recycled) -> Tensor:
    """An uninitialised tensor for a batch: pinned and of the stored type for a GPU, else float32 that is reused."""
    if device.type != "cuda":
        return recycled.take(shape)
    with torch.cuda.device(device):  # in a new thread the current device is GPU 0
        return torch.empty(shape, dtype=_dtype(dtype), pin_memory=True)


def _dtype(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _copy(values: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    # with another mode than "clip" numpy copies twice; `take` has checked the bounds
    np.take(values, rows, axis=0, out=out, mode="clip")
