"""What encoding costs: measured here, and calculated for larger data sets.

    python -m benchmarks.encoding measure tables/flickr8k --backbone lite0 --items 1024
    python -m benchmarks.encoding repeats --texts 6000 --distinct 382
    python -m benchmarks.encoding plan --tflops 10 --cores 8 --images-per-core 150 --price 2.50

`measure` encodes the first items of a table into a copy of it, and prints items per second: of the whole command, of
its parts alone (reading and preparing on one thread; the encoder on prepared items), and the ratio of the whole to the
encoder alone, which no pipeline can beat. It adds the rate at which rows are hashed: a resumed run hashes once what is
there, and so does every run at its end.

`repeats` encodes made-up texts, each of which stands in the table many times, and does so again as if all were
different. It prints the ratio of the times, and the largest difference of the features.

`plan` multiplies: an image takes as long as the slower of its GPU (operations over --tflops, the rate really reached in
fp32) and its decoding (--images-per-core times --cores). Money is hours times --price, and bytes times --storage.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.compute as pc
import torch

from benchmarks.small_forms import add_options, cpu_s, run_small
from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import ImageJob, Job, TextJob, Work
from raytrain.data.encode.plan import Plan, kind_of, text_plan
from raytrain.data.progress import duration
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.files import sha256, size

# (regions, width, 10^9 floating-point operations per image); a multiply-add is two
BACKBONES = {
    "lite0, 224 px": (17, 1280, 0.8),
    "ViT-B/16, 224 px": (197, 768, 35.0),
    "ViT-L/14, 336 px": (577, 1024, 382.0),
}
SETS = {"COCO": 123_287, "12 million": 12_000_000, "400 million": 400_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parts = parser.add_subparsers(dest="part")
    measuring = parts.add_parser("measure")
    measuring.add_argument("table")
    measuring.add_argument("--backbone", default="lite0")
    measuring.add_argument("--items", type=int, default=1024)
    measuring.add_argument("--threads", type=int, default=2)
    repeating = parts.add_parser("repeats")
    repeating.add_argument("--backbone", default="minilm")
    repeating.add_argument("--texts", type=int, default=6000)
    repeating.add_argument("--distinct", type=int, default=382)
    repeating.add_argument("--threads", type=int, default=2)
    planning = parts.add_parser("plan")
    planning.add_argument("--tflops", type=float, default=10.0, help="10^12 operations per second that a GPU reaches")
    planning.add_argument("--cores", type=int, default=8, help="CPU cores per GPU")
    planning.add_argument("--images-per-core", type=float, default=150.0, help="decoded and prepared per second")
    planning.add_argument("--price", type=float, default=2.5, help="of a GPU with its cores, per hour")
    planning.add_argument("--storage", type=float, default=25.0, help="price of 10^12 bytes per month")
    planning.add_argument("--gpus", type=int, default=1)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    if args.part is None:
        parser.error("name a part: measure, repeats or plan")
    if args.part == "measure":
        torch.set_num_threads(args.threads)
        measure(Table(args.table), args.backbone, args.items, args.threads)
    elif args.part == "repeats":
        torch.set_num_threads(args.threads)
        repeats(args.backbone, args.texts, args.distinct)
    else:
        plan(args.tflops, args.cores, args.images_per_core, args.price, args.storage, args.gpus)


def measure(table: Table, backbone: str, count: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small = first_items(table, count, Path(folder) / "table")
        kind = kind_of(backbone)
        job: Job
        if kind == "image":
            job, inputs = ImageJob(backbone, small.image_root, "float16", "cpu"), small.items["file"].to_pylist()
        else:
            job, inputs = TextJob(backbone, "float16", "cpu"), sorted(small.texts["text"].to_pylist(), key=len)
        job.open()
        starts = range(0, len(inputs), 64)
        works = [Work(np.arange(s, min(s + 64, len(inputs))), inputs[s : s + 64]) for s in starts]
        prepared = list(map(job.prepare, works[:2]))  # the first calls are slower
        job.encode(works[0], prepared[0])
        prepare_s, prepared = timed(lambda: [job.prepare(work) for work in works])
        encode_s, _ = timed(lambda: [job.encode(work, ready) for work, ready in zip(works, prepared, strict=True)])
        whole = encode(small.path, backbone, kind=kind, progress=None)
        path = small.path / "features" / f"{whole['features']}.npy"
        hash_s, _ = timed(lambda: sha256(path))
        total, rate = len(inputs), whole["items_per_second"]
        print(f"{backbone}, {total:,} {kind}s, {threads} threads")
        print(f"  the whole command   {rate:8.1f} per second, {rate * encode_s / total:.2f} of the encoder alone")
        print(f"  the encoder alone   {total / encode_s:8.1f} per second, {1000 * encode_s / total:.2f} ms each")
        print(f"  reading, preparing  {total / prepare_s:8.1f} per second, {1000 * prepare_s / total:.2f} ms each")
        print(f"  {size(path.stat().st_size / total)} each, hashed at {size(path.stat().st_size / hash_s)} per second")


def small() -> dict[str, float]:
    return {"encoding repeated texts once": repeats("minilm", 160, 20)}


def repeats(backbone: str, count: int, distinct: int) -> float:
    """CPU seconds of each text by itself over those of each distinct text once."""
    words = ("make", "it", "a", "red", "blue", "happy", "sad", "cat", "dog", "with", "glasses", "and", "hat", "crying")
    draw = np.random.default_rng(0)
    sentences = sorted({" ".join(draw.choice(words, draw.integers(3, 9))) for _ in range(2 * distinct)})[:distinct]
    texts = [sentences[number] for number in draw.integers(0, len(sentences), count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        items = [Item(str(n), "", "train", [(str(n), text)]) for n, text in enumerate(texts)]
        with TableWriter(path, {"name": "benchmark"}) as writer:
            writer.write(*to_arrow(items))

        def each_by_itself(table: Table, job: TextJob) -> Plan:
            return replace(text_plan(table, job), source=None)

        encode(path, backbone, kind="text", name="first", progress=None)  # imports and loads what it needs
        once_s = cpu_s(lambda: encode(path, backbone, kind="text", name="once", progress=None))
        with mock.patch("raytrain.data.encode.encode.text_plan", each_by_itself):
            each_s = cpu_s(lambda: encode(path, backbone, kind="text", name="each", progress=None))
        table = Table(path)
        gap = float(np.abs(table.array("once").astype(np.float32) - table.array("each").astype(np.float32)).max())
    print(f"{backbone}, {count:,} texts of which {len(set(texts)):,} are distinct, {torch.get_num_threads()} threads")
    print(f"  CPU: each by itself {each_s:.1f} s, each distinct one once {once_s:.1f} s: ratio {each_s / once_s:.1f}")
    print(f"  largest difference of the fp16 features {gap:.1e}")
    return each_s / once_s


def plan(tflops: float, cores: int, images_per_core: float, price: float, storage: float, gpus: int) -> None:
    print("| backbone | layout, fp16 | images per second | data | features | time | encoding | storage per month |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for backbone, (regions, width, gflops) in BACKBONES.items():
        rate = gpus * min(1000 * tflops / gflops, cores * images_per_core)
        for name, images in SETS.items():
            hours, stored = images / rate / 3600, 2.0 * images * regions * width
            print(
                f"| {backbone} | {regions} x {width:,} | {rate:,.0f} | {name} | {size(stored)} | "
                f"{duration(3600 * hours)} | {hours * gpus * price:,.2f} | {stored / 1e12 * storage:,.2f} |"
            )


def first_items(table: Table, count: int, out: Path) -> Table:
    """A table of the first `count` items with their texts, over the same images."""
    texts: dict[int, list[tuple[str, str]]] = {}
    for row in table.texts.filter(pc.less(table.texts["item"], count)).to_pylist():
        texts.setdefault(row["item"], []).append((row["id"], row["text"]))
    rows: list[dict[str, Any]] = table.items.slice(0, count).to_pylist()
    items = [Item(row["id"], row["file"], row["split"], texts.get(place, [])) for place, row in enumerate(rows)]
    with TableWriter(out, {"name": "benchmark"}, image_root=table.image_root) as writer:
        writer.write(*to_arrow(items))
    return Table(out)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
