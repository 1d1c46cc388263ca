"""Bottom-up-attention TSV: region features in base64, and captions from another file (Anderson et al., CVPR 2018).

    *.tsv                 image_id  image_w  image_h  num_boxes  boxes  features      separated by tabs, no header
    dataset_coco.json     Karpathy's JSON whose cocoid (or filename without suffix) is the image_id,
    or captions.csv       any file of rows with columns image_id, text, split

Features are float32 (num_boxes, F). The files are read twice, for the ids and for the features, with one line in memory
at a time: COCO's have more than 30 GB. Every image must have the same number of boxes (published methods use 36);
adaptive features of 10 to 100 boxes do not fit into one array.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.columns import Columns, records_of
from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.annotations.layouts import KNOWN, Layout
from raytrain.data.annotations.records import SourceLocation, split_of
from raytrain.data.annotations.row_files import LISTED_FILES, read_rows
from raytrain.data.annotations.text_files import MAX_LINE_BYTES
from raytrain.data.paths import contained, entries, need_folder, open_binary
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say
from raytrain.data.sources.karpathy import read_items
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem, UsageError
from raytrain.progress import say

_FIELDS = 6
_FIX = "Extract the features again, or get the file again."


@dataclass(frozen=True)
class Line:
    """One image of a TSV.

    Args:
        place: its line.
        id: image_id.
        boxes: number of regions, as stated.
        features: base64 of float32 (boxes, F).
    """

    place: SourceLocation
    id: str
    boxes: int
    features: bytes

    def width(self) -> int:
        """F, from the length of the base64 text; 0 if that is not a multiple of the boxes."""
        size = len(self.features) // 4 * 3 - self.features[-2:].count(b"=")
        return size // (4 * self.boxes) if self.boxes > 0 and size % (4 * self.boxes) == 0 else 0


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    captions: str = "",
    name: str = "butd",
    dtype: str = "float16",
    texts_per_image: int | None = None,
    allow_missing: float = 0.0,
    progress: Say | None = say,
) -> Table:
    """Builds the table of the captions, with the features of their images under `name`.

    Args:
        root: folder of the *.tsv files and the captions.
        out: folder of the new table.
        captions: file of the captions in root; default its only dataset_*.json, else its only file of rows.
        name: of the feature.
        dtype: "float16" (half the disk space) or "float32".
        texts_per_image: keep only the first N captions per image.
        allow_missing: share of the captioned images in [0, 1] that may have no features.
        progress: receives a line every few seconds; None is silent.

    Raises:
        DataError: all problems of the captions, else all problems of the features.
        UsageError: an option outside its range.
    """
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype is float16 or float32; given: {dtype!r}")
    missing = Missing(allow_missing)
    if texts_per_image is not None and texts_per_image < 1:
        raise UsageError(f"texts_per_image is at least 1; given: {texts_per_image}")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    files = _files(folder)
    annotated = _captions(_captions_file(folder, captions), problems)
    problems.raise_if_any()
    rows, first = _scan(files, problems)
    if texts_per_image is not None:
        annotated = [replace(item, texts=item.texts[:texts_per_image]) for item in annotated]
    for item in annotated:
        if item.id not in rows:
            missing.add_image(item.id, item.split, len(item.texts), "no features")
    if exceeds(len(missing.ids), len(annotated), allow_missing):
        for identity in missing.ids:
            fix = "Extract them, or allow a share of missing images with allow_missing=SHARE."
            problems.add("missing", Problem(str(files[0]), None, f"no features for image {identity!r}", fix))
    problems.raise_if_any()
    items = [item for item in annotated if item.id in rows]
    if first is None or not items:
        raise DataError(Problem(str(files[0]), None, "no image of the captions has features", "Check captions=FILE."))
    shape = (len(items), first.boxes, first.width())
    facts = {"backbone": "bottom-up attention", "layout": f"{first.boxes} regions", "files": [f.name for f in files]}
    source = {
        "name": "butd_tsv",
        "texts_per_image": texts_per_image,
        "features_without_captions": len(rows) - len(items),
    }
    with TableWriter(out, source, missing=missing) as writer:
        writer.write(*to_arrow(items))
        with writer.array(name, "image", shape, dtype, facts) as target:
            _fill(files, {item.id: row for row, item in enumerate(items)}, target, problems, progress)
            problems.raise_if_any()
    return Table(out)


def lines(path: Path, problems: Problems) -> Iterator[Line]:
    """The lines of a TSV, one at a time; invalid lines are added to `problems`.

    Raises:
        DataError: the file cannot be read, or a line is longer than MAX_LINE_BYTES.
    """
    with open_binary(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            place = SourceLocation(str(path), number)
            if len(line) > MAX_LINE_BYTES:
                raise DataError(place.problem(f"a line of more than {MAX_LINE_BYTES:,} bytes", _FIX))
            parts = line.rstrip(b"\r\n").split(b"\t")
            if not line.strip() or (number == 1 and parts[0] == b"image_id"):
                continue
            if len(parts) != _FIELDS:
                what = f"{len(parts)} fields between tabs, expected {_FIELDS}"
                problems.add("fields", place.problem(what, _FIX))
                continue
            identity, boxes = parts[0].decode("utf-8", "replace").strip(), parts[3].strip()
            if not identity or not boxes.isdigit() or len(boxes) > 6 or int(boxes) == 0:
                what = f"image {identity[:40]!r} with num_boxes {boxes[:20]!r}, expected a whole number from 1"
                problems.add("numbers", place.problem(what, _FIX))
                continue
            yield Line(place, identity, int(boxes), parts[5])


def _scan(files: list[Path], problems: Problems) -> tuple[dict[str, SourceLocation], Line | None]:
    """(place of each image by id, the first line); adds images of another shape than the first to `problems`."""
    places: dict[str, SourceLocation] = {}
    first: Line | None = None
    for path in files:
        for line in lines(path, problems):
            first = first or line
            width = line.width()
            if not width:
                what = f"features of image {line.id!r} do not divide into {line.boxes} boxes of float32"
                problems.add("width", line.place.problem(what, _FIX))
            elif (line.boxes, width) != (first.boxes, first.width()):
                what = (
                    f"image {line.id!r} has {line.boxes} boxes of {width}, the first one {first.boxes} of "
                    f"{first.width()}; all images of an array need the same"
                )
                problems.add("shape", line.place.problem(what, _FIX))
            if line.id in places:
                before = places[line.id]
                what = f"image {line.id!r} is in {Path(before.file).name}, row {before.row} too"
                problems.add("twice", line.place.problem(what, _FIX))
            places[line.id] = line.place
    return places, first


def _fill(
    files: list[Path], row_of: dict[str, int], target: np.ndarray, problems: Problems, progress: Say | None
) -> None:
    """Decodes the lines of the images in `row_of` into their rows of `target` and checks every number."""
    count = Progress("features", len(row_of), "images", progress)
    shape = target.shape[1:]
    for path in files:
        for line in lines(path, problems):
            row = row_of.get(line.id)
            if row is None:
                continue
            try:
                data = base64.b64decode(line.features, validate=True)
            except binascii.Error as error:
                what = f"features of image {line.id!r} are not base64: {error}"
                problems.add("base64", line.place.problem(what, _FIX))
                continue
            if len(data) != 4 * shape[0] * shape[1]:
                what = f"features of image {line.id!r} have {len(data):,} bytes, not {4 * shape[0] * shape[1]:,}"
                problems.add("size", line.place.problem(what, _FIX))
                continue
            values = np.frombuffer(data, "<f4").reshape(shape)
            with np.errstate(over="ignore"):  # the next line finds what overflows fp16
                target[row] = values
            if not np.isfinite(target[row]).all():
                finite = bool(np.isfinite(values).all())
                reason = f"does not fit in {target.dtype}" if finite else "is NaN or infinite"
                fix = "Use dtype=float32." if finite else _FIX
                problems.add("finite", line.place.problem(f"a feature of image {line.id!r} {reason}", fix))
            count.add(1)


def _files(folder: Path) -> list[Path]:
    """The *.tsv files of features in a folder, sorted; DataError if there is none."""
    need_folder(folder, "folder of the *.tsv files")
    paths = [path for path in entries(folder) if path.suffix == ".tsv" and _has_features(path)]
    if not paths:
        raise DataError(Problem(str(folder), None, "no *.tsv with features", "Put the extracted files there."))
    return paths


def _has_features(path: Path) -> bool:
    """Whether a TSV holds features: its first line is their header, or has six fields with a number of boxes."""
    with open_binary(path) as file:
        parts = file.readline(MAX_LINE_BYTES).split(b"\t")
        if parts[0] == b"image_id" and parts[-1].strip() == b"features":
            return True
        return len(parts) == _FIELDS and parts[3].strip().isdigit()


def _captions_file(folder: Path, name: str) -> Path:
    """The named file, else the only dataset_*.json, else the only file of rows; DataError if that is not unique."""
    if name:
        return contained(folder, name)
    candidates = sorted(folder.glob("dataset_*.json"))
    if not candidates:
        rows = [path for path in entries(folder) if path.suffix.lower() in LISTED_FILES and path.is_file()]
        candidates = [path for path in rows if not (path.suffix == ".tsv" and _has_features(path))]
    if len(candidates) != 1:
        names = ", ".join(path.name for path in candidates) or "none"
        what = f"expected exactly one dataset_*.json or file of captions, there are: {names}"
        raise DataError(Problem(str(folder), None, what, "Name the file with captions=FILE."))
    return candidates[0]


def _captions(path: Path, problems: Problems) -> list[Item]:
    """Items without files, whose ids are the TSV's image_ids."""
    items: dict[str, Item] = {}
    if path.suffix.lower() == ".json":
        for item, place in read_items(path, problems):
            name = PurePosixPath(item.id).stem
            if name in items:
                what = f"image {item.id!r} and another one are both {name!r} without their suffixes"
                problems.add("stem", place.problem(what, "Give each image a name of its own."))
            items[name] = Item(name, "", item.split, item.texts)
        return list(items.values())
    columns = Columns(image="image_id")
    fix = "Correct the row."
    for record in records_of(read_rows(path, problems), path, columns, problems):
        split = split_of(record.split)
        if split is None:
            what = f"split {record.split!r}, allowed are train, val, test"
            problems.add("split", record.place.problem(what, fix))
            continue
        if not record.file:
            problems.add("id", record.place.problem("no image_id", fix))
        entry = items.setdefault(record.file, Item(record.file, "", split))
        if entry.split != split:
            what = f"image {entry.id!r} is in {split} here and in {entry.split} before"
            problems.add("two splits", record.place.problem(what, fix))
        for text in record.texts:
            if not caption_of(text):
                problems.add("empty", record.place.problem("empty caption", fix))
            entry.texts.append((f"{entry.id}#{len(entry.texts)}", caption_of(text)))
    return list(items.values())


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with a *.tsv of features; None for another folder."""
    try:
        files = _files(root)
    except DataError:
        return None
    descriptions = [f"{', '.join(path.name for path in files)} (base64 region features)"]
    try:
        return Layout([*descriptions, _captions_file(root, "").name], [], {}, KNOWN)
    except DataError as error:
        return Layout(descriptions, [f"captions: {error.problems[0].what}"], {"captions": "FILE"}, KNOWN)
