"""What a run costs: parameters, time of a step and of a search, and memory; of captions and of composed queries."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from raytrain.data.load.batches import query_batches, text_batches, to_device
from raytrain.data.load.readers import Batch
from raytrain.data.table import AnySplit, QuerySplit
from raytrain.distributed import default_device
from raytrain.scoring.feed import Feed
from raytrain.studies.measured_run import MeasuredRun
from raytrain.training.probe import estimate

TIMED_QUERIES = 500


def parameters(run: MeasuredRun) -> float:
    """Thousands of trained numbers."""
    return sum(parameter.numel() for parameter in run.model.parameters()) / 1000


def step_ms(run: MeasuredRun) -> float | None:
    """Worker milliseconds per step of training, by its journal; validation is in them."""
    seconds, last = run.metric("cost/worker_seconds"), run.record.epoch_events.get(run.record.epochs, {})
    return 1000 * seconds / last["step"] if seconds and last.get("step") else None


def query_ms(run: MeasuredRun) -> float:
    """Milliseconds to embed 100 queries and to compare them with the validation gallery, in this process."""
    split, device = run.split("val"), default_device()
    _, gallery = run.embedded
    rows = np.arange(min(TIMED_QUERIES, len(split) if isinstance(split, QuerySplit) else len(split.texts)))
    seconds = []
    with torch.no_grad():
        for _ in range(3):
            start = time.perf_counter()
            for batch in _batches(split, rows, run.feed):
                run.model.similarity(run.model.encode_query(to_device(batch, device)), gallery.to(device))
            seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds) * 100 / len(rows)


def training_mib(run: MeasuredRun) -> float | None:
    """MiB of GPU memory that two training steps hold at most, as `train` estimates it; None without a GPU."""
    device = default_device()
    return estimate(run.config, device, share=1.0).needed_bytes / 2**20 if device.type == "cuda" else None


def _batches(split: AnySplit, rows: np.ndarray, feed: Feed) -> Iterator[Batch]:
    """Batches of these captions or composed queries of the split."""
    if isinstance(split, QuerySplit):
        return query_batches(split, rows, feed.images, feed.texts)
    return text_batches(split.texts[rows], feed.texts)
