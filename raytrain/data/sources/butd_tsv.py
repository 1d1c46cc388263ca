"""Bottom-up-attention TSV: region features in base64, and captions from another file (Anderson et al., CVPR 2018).

    *.tsv                 image_id  image_w  image_h  num_boxes  boxes  features      tabs between, no header
    dataset_coco.json     Karpathy's JSON whose cocoid (or filename without suffix) is the image_id,
    or captions.csv       any file of rows with columns image_id, text, split

Features are float32 (num_boxes, F). The files are read twice from beginning to end, for the ids and for the features,
and one line is in memory at a time: COCO's have 30 GB and more. Every image has the same number of boxes (36 in what
the methods use); adaptive features of 10 to 100 boxes do not fit one array.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from raytrain.data.annotations.columns import Columns, records_of
from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.annotations.layouts import KNOWN, Layout
from raytrain.data.annotations.records import SourceLocation, split_of
from raytrain.data.annotations.row_files import MAX_LINE_BYTES, ROW_FILES, read_rows
from raytrain.data.paths import contained, open_binary
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say, to_stderr
from raytrain.data.sources.karpathy import read_items
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem, UsageError

_FIELDS = 6
_AGAIN = "Extract the features again, or get the file again."


@dataclass(frozen=True)
class Line:
    """One image of a TSV.

    Args:
        place: of its line.
        id: image_id.
        boxes: how many regions it says to have.
        features: base64 of float32 (boxes, F).
    """

    place: SourceLocation
    id: str
    boxes: int
    features: bytes

    def width(self) -> int:
        """F by the length of the base64 text; 0 where that does not divide."""
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
    progress: Say | None = to_stderr,
) -> Table:
    """The table of the captions, with the features of its images under `name`.

    Args:
        root: folder of the *.tsv files and the captions.
        out: folder of the new table.
        captions: file of the captions in root; default its only dataset_*.json, else its only file of rows.
        name: of the feature.
        dtype: "float16" (half the disk) or "float32".
        texts_per_image: keep only the first so many captions of an image.
        allow_missing: share of the captioned images in [0, 1] that may have no features.
        progress: receives a line every few seconds.

    Raises:
        DataError: every problem of the captions, then every problem of the features.
    """
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype {dtype!r} is float16 or float32")
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
            problems.add("missing", Problem(str(files[0]), None, f"no features of image {identity!r}", fix))
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
    """The lines of a TSV, one at a time; those that are none become problems."""
    with open_binary(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            place = SourceLocation(str(path), number)

            def bad(kind: str, what: str, number: int = number) -> None:
                problems.add(kind, Problem(str(path), number, what, _AGAIN))

            if len(line) > MAX_LINE_BYTES:
                raise DataError(Problem(str(path), number, f"a line of more than {MAX_LINE_BYTES:,} bytes", _AGAIN))
            parts = line.rstrip(b"\r\n").split(b"\t")
            if not line.strip() or (number == 1 and parts[0] == b"image_id"):
                continue
            if len(parts) != _FIELDS:
                bad("fields", f"{len(parts)} fields between tabs, expected {_FIELDS}")
                continue
            identity, boxes = parts[0].decode("utf-8", "replace").strip(), parts[3].strip()
            if not identity or not boxes.isdigit() or len(boxes) > 6 or int(boxes) == 0:
                bad("numbers", f"image {identity[:40]!r} with num_boxes {boxes[:20]!r}, expected a whole number from 1")
                continue
            yield Line(place, identity, int(boxes), parts[5])


def _scan(files: list[Path], problems: Problems) -> tuple[dict[str, SourceLocation], Line | None]:
    """(place of each image, the first line); every image must have the shape of the first."""
    places: dict[str, SourceLocation] = {}
    first: Line | None = None
    for path in files:
        for line in lines(path, problems):
            first = first or line

            def bad(kind: str, what: str, place: SourceLocation = line.place) -> None:
                problems.add(kind, Problem(place.file, place.row, what, _AGAIN))

            width = line.width()
            if not width:
                bad("width", f"features of image {line.id!r} do not divide into {line.boxes} boxes of float32")
            elif (line.boxes, width) != (first.boxes, first.width()):
                what = f"image {line.id!r} has {line.boxes} boxes of {width}, the first one {first.boxes} of "
                bad("shape", f"{what}{first.width()}; one array needs the same of every image")
            if line.id in places:
                before = places[line.id]
                bad("twice", f"image {line.id!r} is in {Path(before.file).name}, row {before.row} too")
            places[line.id] = line.place
    return places, first


def _fill(
    files: list[Path], row_of: dict[str, int], target: np.ndarray, problems: Problems, progress: Say | None
) -> None:
    """Decodes the wanted lines into their rows; looks at every number on its way."""
    count = Progress("features", len(row_of), "images", progress)
    shape = target.shape[1:]
    for path in files:
        for line in lines(path, problems):
            row = row_of.get(line.id)
            if row is None:
                continue

            def bad(kind: str, what: str, fix: str = _AGAIN, place: SourceLocation = line.place) -> None:
                problems.add(kind, Problem(place.file, place.row, what, fix))

            try:
                data = base64.b64decode(line.features, validate=True)
            except binascii.Error as error:
                bad("base64", f"features of image {line.id!r} are no base64: {error}")
                continue
            if len(data) != 4 * shape[0] * shape[1]:
                bad("size", f"features of image {line.id!r} have {len(data):,} bytes, not {4 * shape[0] * shape[1]:,}")
                continue
            values = np.frombuffer(data, "<f4").reshape(shape)
            with np.errstate(over="ignore"):  # what overflows fp16 is found on the next line
                target[row] = values
            if not np.isfinite(target[row]).all():
                finite = bool(np.isfinite(values).all())
                what = f"does not fit in {target.dtype}" if finite else "is NaN or infinite"
                fix = "Use dtype=float32." if finite else _AGAIN
                bad("finite", f"a feature of image {line.id!r} {what}", fix)
            count.add(1)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Name the folder of the *.tsv files with --root."))
    paths = [path for path in sorted(folder.glob("*.tsv")) if _is_ours(path)]
    if not paths:
        raise DataError(Problem(str(folder), None, "no *.tsv of features", "Put the extracted files there."))
    return paths


def _is_ours(path: Path) -> bool:
    """A TSV of features: the first line has six fields of which the last is long base64."""
    with open_binary(path) as file:
        parts = file.readline(MAX_LINE_BYTES).split(b"\t")
        if parts[0] == b"image_id" and parts[-1].strip() == b"features":
            return True
        return len(parts) == _FIELDS and parts[3].strip().isdigit()


def _captions_file(folder: Path, name: str) -> Path:
    if name:
        return contained(folder, name)
    candidates = sorted(folder.glob("dataset_*.json"))
    if not candidates:
        rows = sorted(path for path in folder.iterdir() if path.suffix.lower() in ROW_FILES and path.is_file())
        candidates = [path for path in rows if not (path.suffix == ".tsv" and _is_ours(path))]
    if len(candidates) != 1:
        names = ", ".join(path.name for path in candidates) or "none"
        what = f"needs exactly one dataset_*.json or file of captions, found {names}"
        raise DataError(Problem(str(folder), None, what, "Name the file with captions=FILE."))
    return candidates[0]


def _captions(path: Path, problems: Problems) -> list[Item]:
    """Items called as the TSV calls images, without files."""
    items: dict[str, Item] = {}
    if path.suffix.lower() == ".json":
        for item, place in read_items(path, problems):
            name = PurePosixPath(item.id).stem
            if name in items:
                what = f"image {item.id!r} is called {name!r} without its suffix, and so is another"
                problems.add("stem", Problem(place.file, place.row, what, "Give images names of their own."))
            items[name] = Item(name, "", item.split, item.texts)
        return list(items.values())
    columns = Columns(image="image_id")
    for record in records_of(read_rows(path, problems), path, columns, problems):

        def bad(kind: str, what: str, place: SourceLocation = record.place) -> None:
            problems.add(kind, Problem(place.file, place.row, what, "Correct the row."))

        split = split_of(record.split)
        if split is None:
            bad("split", f"split {record.split!r}, allowed are train, val, test")
            continue
        if not record.file:
            bad("id", "no image_id")
        entry = items.setdefault(record.file, Item(record.file, "", split))
        if entry.split != split:
            bad("two splits", f"image {entry.id!r} is in {split} here and in {entry.split} before")
        for text in record.texts:
            if not text.strip():
                bad("empty", "empty caption")
            entry.texts.append((f"{entry.id}#{len(entry.texts)}", " ".join(text.split())))
    return list(items.values())


def looks_like(root: Path) -> Layout | None:
    try:
        files = _files(root)
    except DataError:
        return None
    descriptions = [f"{', '.join(path.name for path in files)} (base64 region features)"]
    try:
        return Layout([*descriptions, _captions_file(root, "").name], [], {}, KNOWN)
    except DataError as error:
        return Layout(descriptions, [f"captions: {error.problems[0].what}"], {"captions": "FILE"}, KNOWN)
