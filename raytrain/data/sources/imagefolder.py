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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from raytrain.data.annotations.columns import TEXT_NAMES, Columns, records_of
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import MARKED, Layout, column_named, describe_match, image_files
from raytrain.data.annotations.records import Record, Shares, split_of, with_split
from raytrain.data.annotations.row_files import columns_of, read_rows
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    image: str = "file_name",
    text: str = "text",
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
        image, split, id, group, attribution: names of columns; columns other than image may be absent under their
            default names.
        text: name of the column of captions, or several separated by commas.
        val, test: shares of the images to draw for these splits, by a hash of each image, if no split is stated.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    columns = Columns(image, text, split, id, group, attribution)
    paths = metadata(folder)

    def records() -> Iterator[Record]:
        for path in paths:
            base = path.parent.relative_to(folder)
            for record in records_of(read_rows(path, problems), path, columns, problems):
                file = record.file
                if file and not file.startswith(("/", "\\")):  # absolute paths stay, to be refused later
                    file = str(PurePosixPath(base, file))
                stated = next((part for part in PurePosixPath(file).parts[:-1] if split_of(part)), "")
                yield with_split(replace(record, file=file), stated)

    source = {
        "name": "imagefolder",
        "files": [str(path.relative_to(folder)) for path in paths],
        "columns": vars(columns),
    }
    return write_records(out, source, records(), shares, problems, folder)


def metadata(folder: Path) -> list[Path]:
    """The metadata files below a folder, sorted.

    Raises:
        DataError: the folder does not exist, there is none, or a folder has two.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Name the folder of the images with --root."))
    paths = sorted(path for path in folder.rglob("metadata.*") if path.name in NAMES)
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
    image, text = column_named(columns, ("file_name",)), column_named(columns, TEXT_NAMES)
    options = {} if text in ("", "text") else {"text": text}
    stated = "split" in columns or all(any(map(split_of, path.relative_to(root).parts)) for path in paths)
    if not stated and not any(split_of(path.name) for path in root.iterdir() if path.is_dir()):
        options |= {"val": "0.1", "test": "0.1"}
    missing = [f"a column {what}" for what, name in (("file_name", image), ("text", text)) if not name]
    if next(image_files(root), None) is None:
        missing.append("images")
    files = ", ".join(str(path.relative_to(root)) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return Layout([f"{files} (columns {', '.join(columns)})", describe_match(root, "./")], missing, options, MARKED)
