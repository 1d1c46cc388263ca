"""Rows of a feature array as tensors: gathered from a mapped file, or from a device that holds those of a split.

A batch is copied once, from the page cache into memory that an earlier batch has given back: pages that were written
before cost half as much as fresh ones. The file's next parts are announced first, so that a disk reads them side by
side. Threads of PyTorch are kept out: a second team of them beside the one that trains makes both wait.

Letters: N rows of the array, B of a batch.
"""

from __future__ import annotations

import math
import os
import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

HOLD_BYTES = 2**26  # copied at a time while a split is taken into memory
CACHED_BYTES = 2**20  # of fp16 rows that are cast while the processor's cache holds them
UNSHARED = 2**15 - 2**8  # numbers that PyTorch casts in the calling thread; 2**15 it shares out to others


class FeatureRows:
    """Rows of an array of features.

    Args:
        values: (N, ...) array; memory-mapped, or in memory.
        device: that batches train on. For a GPU rows come as they are stored, in pinned memory, to be cast there; for
            the CPU they come as float32.
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
        """(B, ...) these rows, in their order; memory that is given out again once nothing holds the tensor."""
        assert len(rows) == 0 or (rows.min() >= 0 and rows.max() < len(self.values)), "a row that is not there"
        if isinstance(self.values, Tensor):
            return self.values.index_select(0, torch.from_numpy(rows).to(self.values.device)).float()
        self.announce(rows)
        shape = (len(rows), *self.values.shape[1:])
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):  # a thread that reads ahead starts on GPU 0
                pinned = torch.empty(shape, dtype=_dtype(self.values), pin_memory=True)
            _copy(self.values, rows, pinned.numpy())
            return pinned
        out = self._recycled.take(shape)
        if self.values.dtype == np.float32:
            _copy(self.values, rows, out.numpy())
            return out
        step = max(1, CACHED_BYTES // self.row_bytes)
        half = np.empty((min(step, len(rows)), *shape[1:]), self.values.dtype)
        for start in range(0, len(rows), step):
            some = half[: len(rows[start : start + step])]
            _copy(self.values, rows[start : start + step], some)
            source, target = torch.from_numpy(some).view(-1), out[start : start + step].view(-1)
            for first in range(0, len(source), UNSHARED):
                target[first : first + UNSHARED].copy_(source[first : first + UNSHARED])
        return out

    def held(self, rows: np.ndarray) -> FeatureRows:
        """These rows, renumbered from 0, as stored, in the device's own memory."""
        assert isinstance(self.values, np.ndarray)
        memory = torch.empty((len(rows), *self.values.shape[1:]), dtype=_dtype(self.values), device=self.device)
        step = max(1, HOLD_BYTES // self.row_bytes)
        for start in range(0, len(rows), step):
            some, place = rows[start : start + step], memory[start : start + step]
            if self.device.type == "cuda":
                place.copy_(self.take(some))
            else:
                self.announce(some)
                _copy(self.values, some, place.numpy())
        return FeatureRows(memory if self.device.type == "cuda" else memory.numpy(), self.device)

    def announce(self, rows: np.ndarray) -> None:
        """Ask the system for these rows of the file, sorted; it reads them while the first is copied."""
        if self._file is None or len(rows) == 0:
            return
        wanted = np.unique(rows)
        first = np.flatnonzero(np.diff(wanted, prepend=wanted[0] - 2) > 1)  # of each run of neighbours
        sizes = np.diff(first, append=len(wanted))
        for row, size in zip(wanted[first].tolist(), sizes.tolist(), strict=True):
            place = self._offset + row * self.row_bytes
            os.posix_fadvise(self._file, place, size * self.row_bytes, os.POSIX_FADV_WILLNEED)


class Recycled:
    """float32 memory that is given out again once no tensor on it is left, be it in a list or in a graph."""

    def __init__(self) -> None:
        self._idle: deque[np.ndarray] = deque()

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """A tensor of this shape with anything in it."""
        size = math.prod(shape)
        # one that is too small belongs to batches of another kind, and goes
        try:
            memory = self._idle.pop()
        except IndexError:  # none is idle, or another thread took it
            memory = np.empty(0, np.float32)
        if len(memory) < size:
            memory = np.empty(size, np.float32)
        view = memory[:size].reshape(shape)
        # the tensor's storage owns `view`: it ends with the last tensor on it
        weakref.finalize(view, self._idle.append, memory).atexit = False
        return torch.from_numpy(view)


def _dtype(values: np.ndarray) -> torch.dtype:
    return torch.from_numpy(np.empty(0, values.dtype)).dtype


def _copy(values: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    # any mode but "clip" makes numpy copy twice; `take` has looked at the bounds
    np.take(values, rows, axis=0, out=out, mode="clip")
