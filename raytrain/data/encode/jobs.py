"""Jobs: how a worker of `data encode` encodes one batch of rows, and the loop that runs a job in this process."""

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
    """The inputs of one batch.

    Args:
        rows: (B) rows of the table's items or texts.
        inputs: B files relative to the image root, or B texts.
    """

    rows: np.ndarray
    inputs: list[str]


@dataclass
class Done:
    """The features of one batch.

    Args:
        rows: (B) as in `Work`.
        features: (B, R, F) regions, zeros for broken images; or (sum T, F) token states of the texts, concatenated.
        broken: (position in the batch, what is wrong) per image without features.
    """

    rows: np.ndarray
    features: np.ndarray
    broken: list[tuple[int, str]] = field(default_factory=list)


class Job(Protocol):
    """Encodes batches in a worker; small and picklable, since `open` loads the encoder in the worker."""

    def open(self) -> None:
        """Loads the encoder; called once in the worker, before the first batch."""

    def prepare(self, work: Work) -> Any:
        """The part of the work that may run in another thread: reading and decoding."""

    def encode(self, work: Work, prepared: Any) -> Done:
        """The features of a batch, from what `prepare` returned."""


Mapper = Callable[[Job, Iterable[list[Work]]], Iterator[Done]]
"""Runs a job on the batches of shards, in this process or elsewhere, and yields their results in any order."""


def in_process(job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
    """A Mapper that runs the job in this process."""
    job.open()
    yield from pipelined(job, (work for shard in shards for work in shard))


def pipelined(job: Job, batches: Iterable[Work]) -> Iterator[Done]:
    """Encodes batch after batch with an open job while the next two are read and decoded in a thread."""
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
    """Encodes image files as regions.

    Args:
        backbone: as `load_image_encoder` takes it.
        image_root: what the files are relative to.
        dtype: of the features.
        device: "cpu", "cuda", ...
        pad: ratio of `target_pad`; None for no padding.
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
        """Images read at a time: several from a store, which has a high latency, and for a GPU, which is fast."""
        if isinstance(self.image_root, Url):
            return MAX_READERS
        return 1 if self.device == "cpu" else min(len(os.sched_getaffinity(0)), MAX_READERS)

    def prepare(self, work: Work) -> tuple[list[torch.Tensor], list[int], list[tuple[int, str]]]:
        """(pixels of the sound images, their positions in the batch, (position, what is wrong) per broken one)."""
        pixels, positions, broken = [], [], []
        for position, image in enumerate(self.readers.map(self._pixels, work.inputs)):
            if isinstance(image, str):
                broken.append((position, image))
            else:
                pixels.append(image)
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
            with np.errstate(over="ignore"):  # overflows of fp16 become infinite, and encode.py reports their rows
                features[positions] = out
        return Done(work.rows, features, broken)


@dataclass
class TextJob:
    """Encodes texts as token states.

    Args:
        backbone: as `TokenStates` takes it.
        dtype: of the states.
        device: "cpu", "cuda", ...
    """

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
    """The named device, else a GPU if there is one, else the CPU."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")
