"""Precomputed region features in the SCAN layout (SCAN, VSRN, SGRAF, VSE-infinity "precomp", DivE).

    train_ims.npy   (N, 36, 2048) float    train_caps.txt   5 N captions, one per line    train_ids.txt   optional
    dev_...         test_...               testall_...      (COCO: the 5,000 images; its test is the first 1,000)

Arrays have one row per image, or one row per caption with each image's row repeated. Both give the same table. Arrays
are read and written a few hundred images at a time: COCO's training array alone has 33 GB.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.annotations.layouts import Layout, layout_of
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say
from raytrain.data.table import Table
from raytrain.data.table.arrays import open_array
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem, UsageError
from raytrain.files import read_regular
from raytrain.progress import say

_IDS_FIX = "Correct the file, or get it again; next to arrays it may be left out."


@dataclass
class Part:
    """The checked files of one split.

    Args:
        split: "train", "val" or "test".
        array: path of the .npy file.
        rows: memory-mapped (rows, R, F).
        step: rows per image: 1, or texts_per_image if rows repeat.
        ids: (N) image ids.
        captions: N * texts_per_image captions.
    """

    split: str
    array: Path
    rows: np.ndarray
    step: int
    ids: list[str]
    captions: list[str]


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str = "butd",
    dtype: str = "float16",
    test: str = "test",
    dev_images: int | None = None,
    texts_per_image: int = 5,
    chunk_images: int = 256,
    progress: Say | None = say,
) -> Table:
    """Builds the table of a folder of arrays, with their features under `name`.

    Args:
        root: folder with {train,dev,test,testall}_{ims.npy,caps.txt}.
        out: folder of the new table.
        name: of the feature.
        dtype: "float16" (half the disk space) or "float32".
        test: files of the test split: "test", "testall", or "none" for no test split.
        dev_images: use only the first N dev images; published code uses 1000.
        texts_per_image: consecutive caption lines per image.
        chunk_images: images in memory at a time.
        progress: receives a line every few seconds; None is silent.

    Raises:
        DataError: all problems of one pass: missing files, object arrays, wrong shapes or counts, empty captions,
            repeated ids, non-finite features.
        UsageError: an option outside its range.
    """
    if dtype not in ("float16", "float32") or test not in ("test", "testall", "none"):
        raise UsageError(f"dtype is float16 or float32, test is test, testall or none; given: {dtype!r}, {test!r}")
    if texts_per_image < 1 or chunk_images < 1 or (dev_images is not None and dev_images < 1):
        raise UsageError("texts_per_image, chunk_images and dev_images are at least 1")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Give the folder of the *_ims.npy files."))
    files = {"train": "train", "dev": "val"} | ({} if test == "none" else {test: "test"})
    parts = []
    for stem, split in files.items():
        part = _part(folder, stem, split, texts_per_image, dev_images if stem == "dev" else None, problems)
        parts += [part] if part else []
    _check_alike(parts, problems)
    problems.raise_if_any()
    items = [
        Item(identity, "", part.split, _texts(part, row, texts_per_image))
        for part in parts
        for row, identity in enumerate(part.ids)
    ]
    source = {"name": "precomp", "folder": folder.name, "test": test, "dev_images": dev_images}
    source["texts_per_image"] = texts_per_image
    shape = (len(items), *parts[0].rows.shape[1:])
    facts = {"backbone": "precomputed", "layout": f"{shape[1]} regions", "files": [part.array.name for part in parts]}
    with TableWriter(out, source) as writer:
        writer.write(*to_arrow(items))
        with writer.stream(name, "image", shape, dtype, facts) as put:
            count = Progress(name, len(items), "images", progress)
            for part in parts:
                _copy(part, dtype, put, chunk_images, count, problems)
            problems.raise_if_any()
    return Table(out)


def _part(
    folder: Path, stem: str, split: str, texts_per_image: int, first: int | None, problems: Problems
) -> Part | None:
    """The files of one split, at most its `first` images; None after adding the split's problems."""
    before = len(problems)
    path, captions_path = folder / f"{stem}_ims.npy", folder / f"{stem}_caps.txt"
    captions = read_captions(captions_path, problems)
    try:
        rows = open_array(path)
    except DataError as error:
        problems.add("array", error.problems[0])
        return None
    if rows.ndim != 3 or rows.dtype.kind != "f" or 0 in rows.shape:
        what = f"array {rows.shape} of {rows.dtype}, expected (images, regions, features) of floats"
        problems.add("shape", Problem(str(path), None, what, "Save region features of three dimensions."))
    if len(problems) > before:
        return None
    assert captions is not None
    step = texts_per_image if len(rows) == len(captions) and texts_per_image > 1 else 1
    per_image = captions_per_image(rows, len(captions), texts_per_image)
    fix = f"Build with texts_per_image={per_image}, or get both files from one source."
    if step > 1 and per_image == 1:
        what = f"{len(captions):,} captions for {len(rows):,} rows that all differ: one caption per image"
        problems.add("count", Problem(str(captions_path), len(captions), what, fix))
        return None
    if len(rows) * texts_per_image != len(captions) * step or len(rows) % step:
        what = (
            f"{len(captions):,} captions end here; {path.name} has {len(rows):,} rows, which needs "
            f"{len(rows) * texts_per_image:,} captions ({texts_per_image} per row), or {len(rows):,} (repeated rows)"
        )
        fix = fix if per_image else "Get both files from one source."
        problems.add("count", Problem(str(captions_path), len(captions), what, fix))
        return None
    images = len(rows) // step
    ids_path = folder / f"{stem}_ids.txt"
    ids = [f"{stem}{row}" for row in range(images)]
    if ids_path.exists():
        ids = [identity for identity, _ in read_ids(ids_path, images, len(rows), step, problems)]
    keep = min(first or images, images)
    return Part(split, path, rows, step, ids[:keep], captions[: keep * texts_per_image])


def captions_per_image(rows: np.ndarray, captions: int, repeats: int) -> int:
    """The number of captions per image that an array and its captions show; 0 if they do not fit together.

    Args:
        rows: (rows, R, F).
        captions: number of captions.
        repeats: number of rows per image, if there are as many rows as captions and the first ones do not all differ.
    """
    if captions != len(rows):
        return captions // len(rows) if captions % len(rows) == 0 else 0
    first = np.asarray(rows[:repeats]).reshape(min(repeats, len(rows)), -1)
    return 1 if len(rows) % repeats or len(np.unique(first, axis=0)) == repeats else repeats


def _lines(path: Path) -> list[bytes]:
    """The lines without their ends; only line feeds separate lines, since captions may contain other separators."""
    text = read_regular(path).removeprefix(b"\xef\xbb\xbf")
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def read_captions(path: Path, problems: Problems) -> list[str] | None:
    """One caption per line, blanks collapsed; None, after adding a problem, if the file is not there."""
    try:
        lines = _lines(path)
    except OSError:
        problems.add("captions", Problem(str(path), None, "not found", "Put there a file with one caption per line."))
        return None
    captions = []
    for number, line in enumerate(lines, 1):
        place = SourceLocation(str(path), number)
        try:
            caption = caption_of(line.decode("utf-8"))
        except UnicodeDecodeError:
            problems.add("utf-8", place.problem("not UTF-8", "Convert the file to UTF-8."))
            continue
        if not caption:
            problems.add("empty", place.problem("empty caption", "Write a caption into every line."))
        elif caption[:2] in ("b'", 'b"') and caption[-1] == caption[1]:
            what = f"caption {caption!r:.40} is a printed bytes object"
            problems.add("bytes", place.problem(what, "Write the text itself, not str() of bytes."))
        captions.append(caption)
    return captions


def read_ids(path: Path, images: int, rows: int, step: int, problems: Problems) -> list[tuple[str, int]]:
    """(id, line from 1) of each image; [] after adding a problem if the number of ids is wrong.

    A file has one line per image, or one per row of the array.

    Args:
        images: number of images.
        rows: rows of the array.
        step: rows per image; a file with one line per row repeats each id that often.
    """
    ids = [line.decode("utf-8", "replace").strip() for line in _lines(path)]
    if len(ids) not in (rows, images):
        what = f"{len(ids):,} ids for {images:,} images in {rows:,} rows"
        problems.add("ids", Problem(str(path), len(ids), what, _IDS_FIX))
        return []
    stride = step if len(ids) == rows else 1
    line_of: dict[str, int] = {}
    for line in range(1, len(ids) + 1, stride):
        identity = ids[line - 1]
        if identity in line_of or not identity:
            what = f"id {identity!r} appears twice" if identity else "empty id"
            problems.add("id", Problem(str(path), line, what, _IDS_FIX))
        if any(other != identity for other in ids[line - 1 : line - 1 + stride]):
            what = f"expected id {identity!r} in {stride} consecutive lines, one per caption of its image"
            problems.add("ids repeat", Problem(str(path), line, what, _IDS_FIX))
        line_of[identity] = line
    return list(line_of.items())


def _check_alike(parts: list[Part], problems: Problems) -> None:
    """Adds problems: arrays with other regions or widths than the first, images in two splits."""
    for first, part in zip(parts[:1] * len(parts), parts[1:], strict=False):
        if part.rows.shape[1:] != first.rows.shape[1:]:
            what = f"rows of {part.rows.shape[1:]}, but {first.array.name} has rows of {first.rows.shape[1:]}"
            problems.add("width", Problem(str(part.array), None, what, "Extract all splits with one backbone."))
    owner: dict[str, Part] = {}
    for part in parts:
        for row, identity in enumerate(part.ids):
            if owner.setdefault(identity, part) is not part:
                what = f"image {identity!r} is in {owner[identity].split} too"
                problems.add("overlap", Problem(str(part.array), row * part.step, what, "Keep an image in one split."))


def _texts(part: Part, row: int, texts_per_image: int) -> list[tuple[str, str]]:
    """(id, caption) pairs of one image."""
    start = row * texts_per_image
    captions = part.captions[start : start + texts_per_image]
    return [(f"{part.ids[row]}#{number}", caption) for number, caption in enumerate(captions)]


def _copy(
    part: Part, dtype: str, put: Callable[[np.ndarray], None], chunk_images: int, count: Progress, problems: Problems
) -> None:
    """Copies a split chunk by chunk and checks every number: rows that should repeat, and finite values."""
    bounds = [*range(0, len(part.ids), chunk_images), len(part.ids)]
    for start, end in pairwise(bounds):
        # mapped anew for each chunk, so that the pages of the last one leave the process
        chunk = np.asarray(open_array(part.array)[start * part.step : end * part.step])
        chunk = chunk.reshape(end - start, part.step, *chunk.shape[1:])
        if part.step > 1:
            differs = (chunk != chunk[:, :1]).reshape(end - start, -1).any(1) & np.isfinite(chunk).all((1, 2, 3))
            for image in np.flatnonzero(differs).tolist():
                what = f"rows of image {start + image} differ, though there are as many rows as captions"
                fix = "Repeat an image's row for each of its captions, or write one row per image."
                problems.add("repeat", Problem(str(part.array), (start + image) * part.step, what, fix))
        with np.errstate(over="ignore"):  # the next line finds what overflows fp16
            rows = chunk[:, 0].astype(dtype, copy=False)
        not_finite = ~np.isfinite(rows).reshape(end - start, -1).all(1)
        for image in np.flatnonzero(not_finite).tolist():
            finite = np.isfinite(chunk[image, 0]).all()
            what = f"a feature does not fit in {dtype}" if finite else "a feature is NaN or infinite"
            fix = "Use dtype=float32." if finite else "Extract the features of this image again."
            problems.add("finite", Problem(str(part.array), (start + image) * part.step, what, fix))
        put(rows)
        count.add(end - start)


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with *_ims.npy or *_caps.txt; None for another folder."""
    stems = [stem for stem in ("train", "dev", "test", "testall") if (root / f"{stem}_ims.npy").is_file()]
    if not stems and not list(root.glob("*_caps.txt")):
        return None
    test = next((stem for stem in ("testall", "test") if stem in stems), "none")
    options: dict[str, Any] = {} if test == "test" else {"test": test}
    try:
        # COCO's dev has 5,000 images, or 25,000 rows with one per caption; published code uses the first 1,000 images
        if test == "testall" and len(open_array(root / "dev_ims.npy")) in (5000, 25000):
            options["dev_images"] = 1000
    except DataError:
        pass
    if (per_image := _seen_per_image(root)) not in (0, 5):
        options["texts_per_image"] = per_image
    needed = ["train", "dev", *([] if test == "none" else [test])]
    files = [f"{stem}_{kind}" for stem in needed for kind in ("ims.npy", "caps.txt")]
    return layout_of(root, files, [f"{stem}_ids.txt" for stem in needed], options)


def _seen_per_image(root: Path) -> int:
    """The number of captions per image that the files of the training split show; 0 if they do not fit together."""
    captions = read_captions(root / "train_caps.txt", Problems())
    try:
        rows = open_array(root / "train_ims.npy")
    except DataError:
        return 0
    return captions_per_image(rows, len(captions), 5) if captions and rows.ndim == 3 and len(rows) else 0
