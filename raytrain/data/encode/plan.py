"""Plans of encodings: the inputs, their batches, and the shape of the array that they fill."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raytrain.data.encode.jobs import ImageJob, Job, TextJob, Work
from raytrain.data.storage import open_image
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem, UsageError, argument

_TOKENS_AT_ONCE = 4096


@dataclass
class Plan:
    """The work of one encoding.

    Args:
        table: that gets the feature.
        job: encodes a batch.
        name: default name of the feature.
        unit: what the inputs are, in the plural.
        facts: about the encoder and the padding of images, for table.json.
        inputs: (N) files or texts.
        shape: of the array.
        starts: (N + 1) int64, first row of each text in the array; None for images, which have one row each.
        source: (N) int64, the first text that is the same as each text, and whose features it gets; None for images.
    """

    table: Table
    job: Job
    name: str
    unit: str
    facts: dict[str, Any]
    inputs: pa.ChunkedArray
    shape: tuple[int, ...]
    starts: np.ndarray | None = None
    source: np.ndarray | None = None

    @property
    def count(self) -> int:
        return len(self.inputs)

    def batches(self, span: range, size: int) -> list[Work]:
        """The batches of a shard's rows; texts of similar lengths share a batch, so that little is padded.

        A text that stands in an earlier row is in none of them.
        """
        rows, inputs = np.arange(span.start, span.stop), self.inputs.slice(span.start, len(span))
        if self.starts is not None:
            rows = rows[np.argsort(np.diff(self.starts[span.start : span.stop + 1]), kind="stable")]
        if self.source is not None:
            rows = rows[self.source[rows] == rows]
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        return [Work(part, inputs.take(pa.array(part - span.start)).to_pylist()) for part in parts]

    def copies(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C) later rows with the text of one of these rows, ascending, and (C) which of these it is, by position."""
        if self.source is None:
            return np.empty(0, int), np.empty(0, int)
        order, sources = self._by_source
        first, last = np.searchsorted(sources, rows, "left") + 1, np.searchsorted(sources, rows, "right")
        counts = np.maximum(last - first, 0)
        same = np.repeat(np.arange(len(rows)), counts)
        copies = order[np.repeat(first, counts) + np.arange(len(same)) - np.repeat(np.cumsum(counts) - counts, counts)]
        ascending = np.argsort(copies)
        return copies[ascending], same[ascending]

    @cached_property
    def _by_source(self) -> tuple[np.ndarray, np.ndarray]:
        """(N) rows with equal texts together, the first one first, and (N) the source of each."""
        assert self.source is not None
        order = np.argsort(self.source, kind="stable")
        return order, self.source[order]

    def fault(self, row: int) -> str:
        """What is wrong with an image; "" if nothing is."""
        try:
            open_image(self.table.image_root, self.inputs[row].as_py())
        except DataError as error:
            return error.problems[0].what
        return ""

    def still_broken(self, row: int) -> bool:
        """Whether an image that an earlier run could not read is still broken."""
        return bool(self.fault(row))

    def problem(self, row: int, what: str) -> Problem:
        """The problem of an image without features."""
        fix = f"Replace the image, or allow a share of missing images with {argument('allow_missing')}."
        return Problem(str(self.table.image_root / self.inputs[row].as_py()), row, what, fix)


def image_plan(table: Table, job: ImageJob) -> Plan:
    """The plan for a table's images.

    Raises:
        UsageError: the table names no image files, or the backbone cannot be loaded.
    """
    from raytrain.encoders.images import load_image_encoder

    files = table.items["file"]
    if not any(file.as_py() for file in files):
        raise UsageError(f"{table.path} holds features only and names no image files; there is nothing to encode")
    encoder = load_image_encoder(job.backbone)
    facts = {**encoder.facts, **({"target_pad": job.pad} if job.pad else {})}
    return Plan(table, job, encoder.name, "images", facts, files, (len(files), encoder.regions, encoder.width))


def text_plan(table: Table, job: TextJob) -> Plan:
    """The plan for a table's texts; tokenises each distinct one, since their lengths decide the array's shape.

    Raises:
        UsageError: the backbone cannot be loaded.
    """
    from raytrain.encoders.tokens import TokenStates

    texts, encoder = table.texts["text"], TokenStates(job.backbone)
    distinct = texts.combine_chunks().dictionary_encode()
    number = distinct.indices.to_numpy()
    lengths = np.zeros(len(distinct.dictionary), np.int64)
    for first in range(0, len(lengths), _TOKENS_AT_ONCE):
        ids = encoder.tokens(distinct.dictionary.slice(first, _TOKENS_AT_ONCE).to_pylist())
        lengths[first : first + len(ids)] = [len(text) for text in ids]
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths[number], out=starts[1:])
    first_rows = np.unique(number, return_index=True)[1]
    shape = (int(starts[-1]), encoder.width)
    return Plan(table, job, encoder.name, "texts", encoder.facts, texts, shape, starts, first_rows[number])


def kind_of(backbone: str) -> Literal["image", "text"]:
    """Whether a backbone encodes images or texts, by its config.

    Raises:
        UsageError: the model has both towers, or cannot be loaded.
    """
    from raytrain.encoders.images import LITES
    from raytrain.encoders.tokens import transformers_errors

    if backbone in LITES or backbone == "minilm":
        return "image" if backbone in LITES else "text"
    from transformers import AutoConfig

    with transformers_errors(backbone):
        config = AutoConfig.from_pretrained(backbone, trust_remote_code=False)
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        either = f"{argument('kind', 'image')} or {argument('kind', 'text')}"
        raise UsageError(f"{backbone} encodes images and texts; say which with {either}")
    return "text" if getattr(config, "vocab_size", None) else "image"
