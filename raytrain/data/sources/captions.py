"""Your own captions: CSV, TSV, JSONL or Parquet files of (image, text) rows, and the images.

    captions.csv     image,text,split
                     shoes/1.jpg,A red shoe.,train
    images/          the folder that the column image is relative to

A row holds one caption or a list of them; rows of the same image are grouped. Columns may have any name
(`image=COLUMN`, `text=COLUMN` or several separated by commas). The split is stated by a column or by the file's name
(train.csv, val.csv, test.csv), or is drawn (`val=0.1 test=0.1`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from raytrain.data.annotations.columns import IMAGE_NAMES, SPLIT_NAMES, TEXT_NAMES, Columns, records_of
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import GUESSED, MARKED, Layout, column_named, describe_match, image_folder
from raytrain.data.annotations.records import Record, Shares, split_in, with_split
from raytrain.data.annotations.row_files import columns_of, files_in, read_rows
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.errors import DataError, UsageError

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}  # some characters mean more to shell or YAML


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    file: str = "",
    images: str = "images",
    image: str = "image",
    text: str = "text",
    split: str = "split",
    id: str = "image_id",
    group: str = "group",
    attribution: str = "attribution",
    delimiter: str = "",
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the rows; the images stay where they are.

    Args:
        root: folder of the files of rows.
        out: folder of the new table.
        file: names of the files, separated by commas; default all files of rows in root.
        images: folder that the column of images is relative to; relative to root, absolute, or a URL.
        image, split, id, group, attribution: names of columns; columns other than image may be absent under their
            default names.
        text: name of the column of captions, or several separated by commas.
        delimiter: of CSV: a character or comma, tab, semicolon, pipe; default a comma, a tab for TSV.
        val, test: shares of the images to draw for these splits, by a hash of each image, if no split is stated.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    delimiter = _DELIMITERS.get(delimiter, delimiter)
    if len(delimiter) > 1 or delimiter in ("\n", "\r", '"'):
        raise UsageError(f"delimiter is one character or {', '.join(_DELIMITERS)}; given: {delimiter!r}")
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    columns = Columns(image, text, split, id, group, attribution)
    paths = files_in(folder, file, _SUFFIXES)

    def records() -> Iterator[Record]:
        for path in paths:
            rows = read_rows(path, problems, delimiter)
            stated = split_in(path.stem)
            yield from (with_split(record, stated) for record in records_of(rows, path, columns, problems))

    source = {"name": "captions", "files": [path.name for path in paths], "columns": vars(columns)}
    return write_records(out, source, records(), shares, problems, root_of(images, folder))


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with a file of rows that has columns of images and captions; None for another folder."""
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in _SUFFIXES or path.stem == "metadata" or not path.is_file():
            continue
        columns = columns_of(path)
        image, text = column_named(columns, IMAGE_NAMES), column_named(columns, TEXT_NAMES)
        if not image or not text:
            continue
        rows = read_rows(path, Problems())
        try:
            names = [str(row.get(image)) for _, row in islice(rows, 20)]
        except DataError:
            names = []
        folder = image_folder(root, names)
        same_columns = [other.name for other in sorted(root.glob(f"*{path.suffix}")) if columns_of(other) == columns]
        others = [other for other in files_in(root, "", _SUFFIXES) if other.name not in same_columns]
        options = {key: value for key, value in (("image", image), ("text", text)) if value != key}
        if others:
            options["file"] = ",".join(same_columns)
        split = column_named(columns, SPLIT_NAMES)
        if split and split != "split":
            options["split"] = split
        if not split and not all(split_in(Path(name).stem) for name in same_columns):
            options |= {"val": "0.1", "test": "0.1"}
        if folder not in (None, "images"):
            options["images"] = str(folder)
        rows_found = f"{', '.join(same_columns)} (columns {', '.join(columns)})"
        descriptions = [rows_found, describe_match(root, f"{folder or 'images'}/")]
        missing = [] if folder else [f"images, such as {PurePosixPath(names[0]) if names else 'images/1.jpg'}"]
        return Layout([line for line in descriptions if line], missing, options, MARKED if folder else GUESSED)
    return None
