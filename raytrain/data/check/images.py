"""Check of a table's images: every one can be decoded, and none is in two splits as a copy or near duplicate.

Several processes share the work. A worker reads each file once, decodes it under the limits of raytrain/data/images.py,
and returns two hashes, of its bytes and of its content.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Literal

from raytrain.data.check.perceptual import near_pairs, perceptual_hash
from raytrain.data.images import decode
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say
from raytrain.data.storage import Root, read_image
from raytrain.data.table import Table
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError, Problem, RaytrainError, argument

FailOn = Literal["nothing", "copies", "near"]
_CHUNK = 64
_ONE_PROCESS = 500  # up to this many images one process is faster than starting others
_NEAR_FIX = (
    "Look at both: the same content belongs into one split. Where splits are drawn, a group keeps images together."
)


@dataclass(frozen=True)
class ImageReport:
    """The result of inspecting one image.

    Args:
        digest: of its bytes; b"" if it could not be read.
        content_hash: its perceptual hash; b"" if it could not be decoded or has a single colour.
        what, fix: what is wrong with it and what to do; "" if nothing is.
    """

    digest: bytes = b""
    content_hash: bytes = b""
    what: str = ""
    fix: str = ""


def check_images(
    table: Table, problems: Problems, progress: Say | None, workers: int | None = None, fail_on: FailOn = "copies"
) -> None:
    """Adds all images that are absent, broken, or in two splits.

    Args:
        table: whose images are checked.
        problems: receives them.
        progress: receives a line every few seconds; None is silent.
        workers: processes; None for one per core, or only this process if there are few images.
        fail_on: which images in two splits are errors instead of warnings, as in `check`.
    """
    files = table.items["file"].to_pylist()
    if not any(files):
        if progress is not None:
            progress("check images: the table names no image files, so none were checked")
        return
    if not table.image_root.is_dir():
        what = f"image folder not found: none of {len(files):,} images was checked; features can be used"
        fix = "Put the images back before encoding again."
        problems.add("root", Problem(str(table.image_root), None, what, fix, level="warning"))
        return
    if workers is None:
        workers = _cores() if len(files) > _ONE_PROCESS else 1
    count = Progress("check images", len(files), "images", progress)
    reports: list[ImageReport] = []
    for row, report in enumerate(inspect_images(table.image_root, files, workers)):
        if report.what:
            problems.add("image", Problem(str(table.image_root / files[row]), row, report.what, report.fix))
        reports.append(report)
        count.add(1)
    copies = _copies(table, files, reports, problems, "warning" if fail_on == "nothing" else "error")
    _near(table, files, reports, copies, problems, "error" if fail_on == "near" else "warning")


def inspect_images(root: Root, files: Sequence[str], workers: int) -> Iterator[ImageReport]:
    """The report of each file, in order; with `workers` = 1 in this process.

    Raises:
        RaytrainError: a worker was killed.
    """
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    inspect = partial(_inspect_chunk, root)
    if workers <= 1:
        yield from _flat(map(inspect, chunks))
        return
    # spawned, since a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _flat(pool.map(inspect, chunks))
        except BrokenProcessPool:
            what = "a process that read images was killed, most likely for lack of memory"
            raise RaytrainError(f"{what}; use {argument('workers', 1)}") from None


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _flat(chunks: Iterable[list[ImageReport]]) -> Iterator[ImageReport]:
    for chunk in chunks:
        yield from chunk


def _inspect_chunk(root: Root, files: Sequence[str]) -> list[ImageReport]:
    return [_inspect(root, file) for file in files]


def _inspect(root: Root, file: str) -> ImageReport:
    try:
        data = read_image(root, file)
        return ImageReport(hashlib.sha256(data).digest()[:16], perceptual_hash(decode(data, str(root / file))))
    except DataError as error:
        return ImageReport(what=error.problems[0].what, fix=error.problems[0].fix)


def _copies(
    table: Table,
    files: Sequence[str],
    reports: Sequence[ImageReport],
    problems: Problems,
    level: Literal["error", "warning"],
) -> set[int]:
    """Adds images whose bytes another split has too, under another name; returns their rows.

    `check` itself finds one file in two splits, without opening it.
    """
    splits = table.items["split"].to_pylist()
    first: dict[tuple[bytes, str], int] = {}
    for row, report in enumerate(reports):
        if report.digest:
            first.setdefault((report.digest, splits[row]), row)
    rows = set()
    for row, report in enumerate(reports):
        for other in (first.get((report.digest, split)) for split in SPLITS):
            if other is not None and other < row and splits[other] != splits[row] and files[other] != files[row]:
                what = f"in {splits[row]}, and, byte for byte, {files[other]!r} (row {other}) in {splits[other]}"
                file = str(table.image_root / files[row])
                fix = f"Keep an image in one split and build again, or check with {argument('fail_on', 'nothing')}."
                problems.add("copies", Problem(file, row, what, fix, level=level))
                rows |= {row, other}
                break
    return rows


def _near(
    table: Table,
    files: Sequence[str],
    reports: Sequence[ImageReport],
    copies: set[int],
    problems: Problems,
    level: Literal["error", "warning"],
) -> None:
    """Adds images of val and test that look like one of an earlier split; `copies` are the rows added already."""
    split = table.items["split"].to_pylist()
    hashes = [report.content_hash for report in reports]
    rows = {name: [row for row, shown in enumerate(hashes) if shown and split[row] == name] for name in SPLITS}
    for at, name in enumerate(SPLITS[1:], 1):
        before = [row for earlier in SPLITS[:at] for row in rows[earlier]]
        pairs = near_pairs([hashes[row] for row in rows[name]], [hashes[row] for row in before])
        for left, right, bits in pairs:
            row, other = rows[name][left], before[right]
            if files[row] == files[other] or (row in copies and reports[row].digest == reports[other].digest):
                continue
            what = f"in {name}, looks like {files[other]!r} (row {other}) in {split[other]}: {bits} of 128 bits differ"
            problems.add("near", Problem(str(table.image_root / files[row]), row, what, _NEAR_FIX, level=level))
