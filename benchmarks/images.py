"""Images per second of the feed of a backbone that trains, beside the decoder's own limit and torch's DataLoader.

    python benchmarks/images.py FOLDER --processes 2

FOLDER holds JPEG files. All ways read the same ones, in the same order, and end with the (B, 3, 224, 224) pixels of
CLIP's own image processor in this process. The decoder's limit is Pillow's decoding alone, in one thread, times the
processes: nothing that decodes whole files in so many processes is faster. DataLoader is the plain way: a data set that
opens a file and calls the processor, so many worker processes, and what torch does of itself. Ways are measured in
turn, twice, and the better of both times counts: workers start in the first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from raytrain.data.images import decode
from raytrain.data.load.augmentation import Augmentation
from raytrain.data.load.batches import read_ahead
from raytrain.data.load.pixels import Pixels
from raytrain.encoders.images import ProcessorPixels

PRELOADED = ["raytrain.data.load.pixels", "transformers.models.clip.image_processing_pil_clip"]
SIDE, BATCH = 224, 64
CROP, COLOUR = 0.5, 0.2
PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True, "size": {"shortest_edge": SIDE}, "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
}  # fmt: skip


class Photos(Dataset[Tensor]):
    """The plain way: a file, Pillow, the processor."""

    def __init__(self, files: list[str], processor: Any) -> None:
        self.files, self.processor = files, processor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Tensor:
        from PIL import Image

        with Image.open(self.files[place]) as image:
            pixels: Tensor = self.processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels


def clip_processor() -> Any:
    """CLIP's image processor with its usual settings, by Pillow; no weights are needed."""
    from transformers import AutoImageProcessor

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(PROCESSOR), encoding="utf-8")
        return AutoImageProcessor.from_pretrained(folder, backend="pil")


def through(pixels: Pixels, count: int, augmented: bool) -> Callable[[], int]:
    """One epoch of the feed, two batches ahead, as training reads it; the number of images."""
    random = np.random.default_rng(0)

    def read(first: int) -> Tensor:
        items = np.arange(first, min(first + BATCH, count))
        draws = random.random((len(items), pixels.draws)) if augmented else None
        return pixels.read(items, draws, 0.0)["regions"]

    return lambda: sum(len(batch) for batch in read_ahead(read, range(0, count, BATCH), 2))


def rate(work: Callable[[], int]) -> float:
    """Images per second, the better of two times."""
    best = 0.0
    for _ in range(2):
        started = time.perf_counter()
        best = max(best, work() / (time.perf_counter() - started))
    return best


def measure(files: list[str], processes: int) -> dict[str, float]:
    """{way: images per second}."""
    processor = clip_processor()
    table: Any = SimpleNamespace(
        path=Path(files[0]).parent,
        image_root=Path(files[0]).parent,
        items={"file": pa.array([Path(file).name for file in files])},
    )
    prepare = ProcessorPixels(processor)
    draft_side = int(np.ceil(SIDE / CROP**0.5))
    strong = Augmentation(CROP, True, COLOUR)

    def feed(count: int, draft: int | None, augmentation: Augmentation | None) -> Pixels:
        return Pixels(table, prepare, 1, 1, None, augmentation, draft, count)

    def decoded(draft: int | None) -> int:
        return len([decode(file, draft_side=draft).size for file in files])

    def prepared() -> int:
        return len([prepare(decode(file)) for file in files])

    settings: dict[str, Any] = {"num_workers": processes, "multiprocessing_context": "forkserver"}
    loader: DataLoader[Tensor] = DataLoader(Photos(files, processor), BATCH, persistent_workers=True, **settings)
    count = len(files)
    ways: dict[str, Callable[[], int]] = {
        "decoding alone, one thread": lambda: decoded(None),
        "draft decoding alone, one thread": lambda: decoded(draft_side),
        "decoding and preparing, one thread": prepared,
        "feed, four threads": through(feed(0, None, None), count, False),
        f"feed, {processes} processes": through(feed(processes, None, None), count, False),
        f"feed, {processes} processes, draft": through(feed(processes, draft_side, None), count, True),
        f"feed, {processes} processes, draft, crop, flip, colour": through(
            feed(processes, draft_side, strong), count, True
        ),
        f"DataLoader, {processes} workers": lambda: sum(len(batch) for batch in loader),
    }
    return {name: rate(work) for name, work in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=512, help="read at most so many")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    multiprocessing.set_forkserver_preload(PRELOADED)
    files = sorted(str(path) for path in given.folder.glob("*.jpg"))[: given.images]
    rates = measure(files, given.processes)
    plain, limit = (
        rates[f"DataLoader, {given.processes} workers"],
        rates["decoding alone, one thread"] * given.processes,
    )
    print(f"{len(files)} JPEGs, {given.processes} processes; decoder's limit {limit:.0f} images/s")
    print("| way | images/s | of the decoder's limit | of DataLoader |\n| --- | ---: | ---: | ---: |")
    for name, value in rates.items():
        print(f"| {name} | {value:.0f} | {value / limit:.2f} | {value / plain:.2f} |")


if __name__ == "__main__":
    main()
