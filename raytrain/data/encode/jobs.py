"""What a worker of `data encode` does with one batch of rows, and the loop that runs it in this process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from raytrain.data.images import target_pad
from raytrain.data.storage import Root, Url, open_image
from raytrain.errors import DataError

if TYPE_CHECKING:
    import torch

    from raytrain.encoders.images import ImageEncoder
    from raytrain.encoders.tokens import TokenStates

MAX_READERS = 16


@dataclass
class Work:
    """One batch on its way to a worker.

    Args:
        rows: (B) rows of the table's items or texts.
        inputs: B files relative to the image root, or B texts.
    """

    rows: np.ndarray
    inputs: list[str]


@dataclass
class Done:
    """One batch on its way back.

    Args:
        rows: (B) as they came.
        features: (B, R, F) regions, zero where an image was broken; or (sum T, F) token states, text after text.
        broken: (position in the batch, what is wrong) of images without features.
    """

    rows: np.ndarray
    features: np.ndarray
    broken: list[tuple[int, str]] = field(default_factory=list)


class Job(Protocol):
    """What a worker does; small and picklable, the encoder is made by `open` where it runs."""

    def open(self) -> None: ...

    def prepare(self, work: Work) -> Any:
        """The part that may run in another thread: reading and decoding."""

    def encode(self, work: Work, prepared: Any) -> Done: ...


Mapper = Callable[[Job, Iterable[list[Work]]], Iterator[Done]]
"""Runs the batches of shards wherever it likes; they come back in any order."""


def in_process(job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
    """Runs the job here."""
    job.open()
    yield from pipelined(job, (work for shard in shards for work in shard))


def pipelined(job: Job, batches: Iterable[Work]) -> Iterator[Done]:
    """Encodes batch after batch with an open job; the next two are read and decoded meanwhile."""
    waiting: deque[tuple[Work, Future[Any]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for work in batches:
            waiting.append((work, pool.submit(job.prepare, work)))
            if len(waiting) > 2:
                first, future = waiting.popleft()
                yield job.encode(first, future.result())
        while waiting:
            first, future = waiting.popleft()
            yield job.encode(first, future.result())


@dataclass
class ImageJob:
    """Files to regions.

    Args:
        backbone: as `load_image_encoder` takes it.
        image_root: what the files are relative to.
        dtype: of the features.
        device: "cpu", "cuda", ...
        pad: ratio of `target_pad`; None leaves images as they are.
    """

    backbone: str
    image_root: Root
    dtype: str
    device: str
    pad: float | None = None

    def open(self) -> None:
        import torch

        from raytrain.encoders.images import load_image_encoder

        self.encoder: ImageEncoder = load_image_encoder(self.backbone).to(torch.device(self.device))
        self.readers = ThreadPoolExecutor(self._threads())

    def _threads(self) -> int:
        """How many images are read at a time: a store answers late, and a GPU waits for more than one decoder."""
        if isinstance(self.image_root, Url):
            return MAX_READERS
        return 1 if self.device == "cpu" else min(len(os.sched_getaffinity(0)), MAX_READERS)

    def prepare(self, work: Work) -> tuple[list[torch.Tensor], list[int], list[tuple[int, str]]]:
        """Pixels of the whole images, their positions, and the broken ones."""
        pixels, positions, broken = [], [], []
        for position, found in enumerate(self.readers.map(self._pixels, work.inputs)):
            if isinstance(found, str):
                broken.append((position, found))
            else:
                pixels.append(found)
                positions.append(position)
        return pixels, positions, broken

    def _pixels(self, file: str) -> torch.Tensor | str:
        """The prepared image, or what is wrong with it."""
        try:
            image = open_image(self.image_root, file)
        except DataError as error:
            return error.problems[0].what
        return self.encoder.preprocess(image if self.pad is None else target_pad(image, self.pad))

    def encode(self, work: Work, prepared: Any) -> Done:
        import torch

        pixels, positions, broken = prepared
        features = np.zeros((len(work.rows), self.encoder.regions, self.encoder.width), self.dtype)
        if pixels:
            out = self.encoder(torch.stack(pixels).to(self.device)).cpu().numpy()
            with np.errstate(over="ignore"):  # what overflows fp16 becomes infinite and is reported by row
                features[positions] = out
        return Done(work.rows, features, broken)


@dataclass
class TextJob:
    """Texts to token states."""

    backbone: str
    dtype: str
    device: str

    def open(self) -> None:
        import torch

        from raytrain.encoders.tokens import TokenStates

        self.encoder: TokenStates = TokenStates(self.backbone).to(torch.device(self.device))

    def prepare(self, work: Work) -> list[list[int]]:
        return self.encoder.tokens(work.inputs)

    def encode(self, work: Work, prepared: Any) -> Done:
        states = np.concatenate([state.numpy() for state in self.encoder.states(prepared)])
        with np.errstate(over="ignore"):
            return Done(work.rows, states.astype(self.dtype))


def pick_device(device: str | None) -> str:
    """The device named, else a GPU where there is one, else the CPU."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")
