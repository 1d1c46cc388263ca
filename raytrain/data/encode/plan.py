"""What `data encode` has to do: which inputs, in which batches, into an array of which shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raytrain.data.encode.jobs import ImageJob, Job, TextJob, Work
from raytrain.data.storage import open_image
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem, UsageError

_TOKENS_AT_ONCE = 4096


@dataclass
class Plan:
    """What is encoded.

    Args:
        name: default name of the feature.
        unit: what is counted.
        facts: of the encoder, and of how images are padded.
        inputs: (N) files or texts.
        shape: of the array.
        starts: (N + 1) int64, first row of each text in the array; None for images, which have one each.
    """

    table: Table
    job: Job
    name: str
    unit: str
    facts: dict[str, Any]
    inputs: pa.ChunkedArray
    shape: tuple[int, ...]
    starts: np.ndarray | None = None

    @property
    def count(self) -> int:
        return len(self.inputs)

    def batches(self, span: range, size: int) -> list[Work]:
        """The batches of a shard; texts of like length share one, so that little is padded."""
        rows, inputs = np.arange(span.start, span.stop), self.inputs.slice(span.start, len(span))
        if self.starts is not None:
            rows = rows[np.argsort(np.diff(self.starts[span.start : span.stop + 1]), kind="stable")]
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        return [Work(part, inputs.take(pa.array(part - span.start)).to_pylist()) for part in parts]

    def fault(self, row: int) -> str:
        """What is wrong with an image; "" of a whole one."""
        try:
            open_image(self.table.image_root, self.inputs[row].as_py())
        except DataError as error:
            return error.problems[0].what
        return ""

    def still_broken(self, row: int) -> bool:
        return bool(self.fault(row))

    def problem(self, row: int, what: str) -> Problem:
        fix = "Replace the image, or allow a share of missing images with --allow-missing."
        return Problem(str(self.table.image_root / self.inputs[row].as_py()), row, what, fix)


def image_plan(table: Table, job: ImageJob) -> Plan:
    from raytrain.encoders.images import load_image_encoder

    files = table.items["file"]
    if not any(file.as_py() for file in files):
        raise UsageError(f"{table.path} holds features only and names no image files; there is nothing to encode")
    encoder = load_image_encoder(job.backbone)
    facts = {**encoder.facts, **({"target_pad": job.pad} if job.pad else {})}
    return Plan(table, job, encoder.name, "images", facts, files, (len(files), encoder.regions, encoder.width))


def text_plan(table: Table, job: TextJob) -> Plan:
    from raytrain.encoders.tokens import TokenStates

    texts, encoder = table.texts["text"], TokenStates(job.backbone)
    starts = np.zeros(len(texts) + 1, np.int64)
    for first in range(0, len(texts), _TOKENS_AT_ONCE):
        ids = encoder.tokens(texts.slice(first, _TOKENS_AT_ONCE).to_pylist())
        starts[first + 1 : first + 1 + len(ids)] = [len(text) for text in ids]
    np.cumsum(starts, out=starts)
    shape = (int(starts[-1]), encoder.width)
    return Plan(table, job, encoder.name, "texts", encoder.facts, texts, shape, starts)


def kind_of(backbone: str) -> Literal["image", "text"]:
    """Which side of a table a backbone encodes, from its config.

    Raises:
        UsageError: a model with both towers, which needs `kind`.
    """
    if backbone in ("lite0", "minilm"):
        return "image" if backbone == "lite0" else "text"
    from transformers import AutoConfig

    from raytrain.encoders.tokens import transformers_errors

    with transformers_errors(backbone):
        config = AutoConfig.from_pretrained(backbone, trust_remote_code=False)
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        raise UsageError(f"{backbone} encodes images and texts; say which with --kind image or --kind text")
    return "text" if getattr(config, "vocab_size", None) else "image"
