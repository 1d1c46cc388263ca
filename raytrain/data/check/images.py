"""The images of a table: whole ones, and none in two splits, neither copied nor nearly so.

Processes share the work: a worker reads a file once, decodes every pixel under the limits of raytrain/data/images.py,
and gives back two hashes, of its bytes and of what it shows.
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
from raytrain.errors import DataError, Problem, RaytrainError

FailOn = Literal["nothing", "copies", "near"]
_CHUNK = 64
_ALONE = 500  # so few images are looked at sooner than processes start
_APART = (
    "Look at both: what shows the same belongs in one split. Where splits are drawn, a group keeps images together."
)


@dataclass(frozen=True)
class Looked:
    """What a worker saw of an image.

    Args:
        digest: of its bytes; b"" where it could not be read.
        shows: its perceptual hash; b"" where it could not be decoded or is of one colour.
        what, fix: what is wrong with it; "" where nothing is.
    """

    digest: bytes = b""
    shows: bytes = b""
    what: str = ""
    fix: str = ""


def check_images(
    table: Table, problems: Problems, progress: Say | None, workers: int | None = None, fail_on: FailOn = "copies"
) -> None:
    """Adds every image that is absent, broken, or in two splits.

    Args:
        workers: processes; None takes one a core, and none where there are few images.
        fail_on: which images shared between splits are errors: exact copies, near duplicates as well, or neither; the
            rest are warnings.
    """
    files = table.items["file"].to_pylist()
    if not any(files):
        if progress is not None:
            progress("check images: the table names no image files, so that none were looked at")
        return
    if not table.image_root.is_dir():
        what = f"image folder not found: none of {len(files):,} images was looked at; features can be used"
        fix = "Put the images back before encoding again."
        problems.add("root", Problem(str(table.image_root), None, what, fix, level="warning"))
        return
    if workers is None:
        workers = _cores() if len(files) > _ALONE else 1
    count = Progress("check images", len(files), "images", progress)
    looked: list[Looked] = []
    for row, seen in enumerate(look_at_all(table.image_root, files, workers)):
        if seen.what:
            problems.add("image", Problem(str(table.image_root / files[row]), row, seen.what, seen.fix))
        looked.append(seen)
        count.add(1)
    known = _copies(table, files, looked, problems, "warning" if fail_on == "nothing" else "error")
    _near(table, files, looked, known, problems, "error" if fail_on == "near" else "warning")


def look_at_all(root: Root, files: Sequence[str], workers: int) -> Iterator[Looked]:
    """What is seen of each file, in order; `workers` processes, or this one alone for 1."""
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    look = partial(_look_at, root)
    if workers <= 1:
        yield from _flat(map(look, chunks))
        return
    # spawned, since a fork of a process that has threads may hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _flat(pool.map(look, chunks))
        except BrokenProcessPool:
            raise RaytrainError("a process that read images was killed, most likely for memory; --workers 1") from None


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _flat(chunks: Iterable[list[Looked]]) -> Iterator[Looked]:
    for chunk in chunks:
        yield from chunk


def _look_at(root: Root, files: Sequence[str]) -> list[Looked]:
    return [_look(root, file) for file in files]


def _look(root: Root, file: str) -> Looked:
    try:
        data = read_image(root, file)
        return Looked(hashlib.sha256(data).digest()[:16], perceptual_hash(decode(data, str(root / file))))
    except DataError as error:
        return Looked(what=error.problems[0].what, fix=error.problems[0].fix)


def _copies(
    table: Table, files: Sequence[str], looked: Sequence[Looked], problems: Problems, level: Literal["error", "warning"]
) -> set[int]:
    """Adds images whose bytes are in another split too, under another name; returns their rows.

    One file in two splits is found without opening it, and told by `check` itself.
    """
    splits = table.items["split"].to_pylist()
    first: dict[tuple[bytes, str], int] = {}
    for row, seen in enumerate(looked):
        if seen.digest:
            first.setdefault((seen.digest, splits[row]), row)
    found = set()
    for row, seen in enumerate(looked):
        for other in (first.get((seen.digest, split)) for split in SPLITS):
            if other is not None and other < row and splits[other] != splits[row] and files[other] != files[row]:
                what = f"in {splits[row]}, and, byte for byte, {files[other]!r} (row {other}) in {splits[other]}"
                file = str(table.image_root / files[row])
                fix = "Keep an image in one split and build again, or check with --fail-on nothing."
                problems.add("copies", Problem(file, row, what, fix, level=level))
                found |= {row, other}
                break
    return found


def _near(
    table: Table,
    files: Sequence[str],
    looked: Sequence[Looked],
    known: set[int],
    problems: Problems,
    level: Literal["error", "warning"],
) -> None:
    """Adds images of val and test that look like one of a split before."""
    split = table.items["split"].to_pylist()
    rows = {name: [row for row, one in enumerate(looked) if one.shows and split[row] == name] for name in SPLITS}
    for at, name in enumerate(SPLITS[1:], 1):
        before = [row for earlier in SPLITS[:at] for row in rows[earlier]]
        pairs = near_pairs([looked[row].shows for row in rows[name]], [looked[row].shows for row in before])
        for left, right, bits in pairs:
            row, other = rows[name][left], before[right]
            if files[row] == files[other] or (row in known and looked[row].digest == looked[other].digest):
                continue
            what = f"in {name}, looks like {files[other]!r} (row {other}) in {split[other]}: {bits} of 128 bits differ"
            problems.add("near", Problem(str(table.image_root / files[row]), row, what, _APART, level=level))
