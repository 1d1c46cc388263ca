"""Image folders with metadata: metadata.csv, .jsonl or .parquet next to the images (Hugging Face's imagefolder).

    train/metadata.csv     file_name,text
                           1.jpg,A red shoe.
    train/1.jpg
    validation/...         test/...

Paths are relative to the folder of their metadata file. The split is stated by a column or by the image's folder below
the root, or is drawn (`val=0.1 test=0.1`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.columns import IMAGE_NAMES, Columns, records_of, text_columns, unused_columns
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import MARKED, Layout, column_named, describe_match
from raytrain.data.annotations.placement import SAMPLE
from raytrain.data.annotations.records import Record, Shares, split_of, with_split
from raytrain.data.annotations.row_files import columns_of, read_rows
from raytrain.data.paths import entries, files_below, need_folder
from raytrain.data.presence import Presence
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem, UsageError

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    image: str = "file_name",
    text: str = "text",
    relative_to: str = "metadata",
    split: str = "split",
    id: str = "image_id",
    group: str = "group",
    attribution: str = "attribution",
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of all metadata files below root; the images stay where they are.

    Args:
        root: folder of the images and metadata files.
        out: folder of the new table.
        relative_to: "metadata" if images' paths are relative to the folder of their metadata file, "root" if to root.
        image, split, id, group, attribution: names of columns; columns other than image may be absent under their
            default names.
        text: name of the column of captions, or several separated by commas.
        val, test: shares of the images to draw for these splits, by a hash of each image, if no split is stated.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    if relative_to not in ("metadata", "root"):
        raise UsageError(f"relative_to is metadata or root; given: {relative_to!r}")
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    bad_rows = Problems()
    columns = Columns(image, text, split, id, group, attribution)
    paths = metadata(folder)

    def records() -> Iterator[Record]:
        for path in paths:
            base = PurePosixPath() if relative_to == "root" else path.parent.relative_to(folder)
            for record in records_of(read_rows(path, bad_rows), path, columns, problems):
                file = record.file
                if file and not file.startswith(("/", "\\")):  # absolute paths stay, to be refused later
                    file = str(PurePosixPath(base, file.replace("\\", "/") if "\\" in file else file))
                stated = next((part for part in PurePosixPath(file).parts[:-1] if split_of(part)), "")
                yield with_split(replace(record, file=file), stated)

    source = {
        "name": "imagefolder",
        "files": [str(path.relative_to(folder)) for path in paths],
        "columns": vars(columns),
    }
    there = dict.fromkeys(name for path in paths for name in columns_of(path))
    if unused := unused_columns(list(there), columns):
        source["unused_columns"] = unused
    return write_records(out, source, records(), shares, problems, folder, bad_rows)


def metadata(folder: Path) -> list[Path]:
    """The metadata files below a folder, sorted.

    Raises:
        DataError: the folder does not exist, there is none, or a folder has two.
    """
    need_folder(folder, "folder of the images")
    paths = sorted(path for path in files_below(folder) if path.name in NAMES)
    if not paths:
        what = f"no {', '.join(NAMES[:-1])} or {NAMES[-1]} in or below it"
        raise DataError(Problem(str(folder), None, what, "Write one next to the images, with the column file_name."))
    folders = [path.parent for path in paths]
    if side_by_side := [path for path in paths if folders.count(path.parent) > 1]:
        what = f"{' and '.join(path.name for path in side_by_side)} are in the same folder"
        raise DataError(Problem(str(side_by_side[0].parent), None, what, "Keep one metadata file per folder."))
    return paths


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with a metadata file in or below it; None for another folder."""
    try:
        paths = metadata(root)
    except DataError:
        return None
    columns = columns_of(paths[0])
    image = column_named(columns, ("file_name", *IMAGE_NAMES))
    texts = text_columns([column for column in columns if column != image])
    named = (("image", image, "file_name"), ("text", ",".join(texts), "text"))
    options: dict[str, Any] = {name: value for name, value, default in named if value not in ("", default)}
    missing = [f"a column {what}" for what, name in (("file_name", image), ("text", texts)) if not name]
    if not columns:
        missing = [f"rows in {paths[0].relative_to(root)}"]
    files = ", ".join(str(path.relative_to(root)) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    present = [f"{files} (columns {', '.join(columns)})", describe_match(root, "./")]
    if not missing:
        options |= _splits(root, paths, "split" in columns)
        beside, below = _first_there(root, paths, image, "metadata"), _first_there(root, paths, image, "root")
        if not beside and below:
            present.append(f"paths such as {below} are relative to the root, not to the folder of their metadata")
            options["relative_to"] = "root"
        elif not beside:
            first = next(_listed(root, paths[0], image, "metadata"), "")
            missing.append(Presence(root).find(first).what if first else f"images in the column {image}")
    return Layout(present, missing, options, MARKED)


def _splits(root: Path, paths: Sequence[Path], column: bool) -> dict[str, float]:
    """The splits to draw, as options: those that neither a column nor a folder states."""
    if column:
        return {}
    parts = {part for path in paths for part in path.relative_to(root).parts}
    folders = {path.name for path in entries(root) if path.is_dir()}
    stated = {split_of(name) for name in parts | folders} - {None}
    if "val" in stated:
        return {}
    return {"val": 0.1} if "test" in stated else {"val": 0.1, "test": 0.1}


def _first_there(root: Path, paths: Sequence[Path], image: str, relative_to: str) -> str:
    """The first listed image that is there, relative to the root; "" if none of the first ones is."""
    presence = Presence(root)
    names = (name for path in paths[:10] for name in _listed(root, path, image, relative_to))
    return next((name for name in names if presence.has(name)), "")


def _listed(root: Path, path: Path, image: str, relative_to: str) -> Iterator[str]:
    """The first images of a metadata file as paths relative to the root."""
    base = PurePosixPath() if relative_to == "root" else PurePosixPath(path.parent.relative_to(root))
    try:
        for _, row in islice(read_rows(path, Problems()), SAMPLE):
            if name := str(row.get(image) or "").strip():
                yield str(base / name) if not name.startswith(("/", "\\")) else name
    except DataError:
        return
