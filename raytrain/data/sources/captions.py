"""Your own captions: CSV, TSV, JSON or Parquet files of (image, text) rows, and the images.

    captions.csv     image,text,split
                     shoes/1.jpg,A red shoe.,train
    images/          the folder that the column image is relative to

A row holds one caption or a list of them; rows of the same image are grouped. Columns may have any name
(`image=COLUMN`, `text=COLUMN` or several separated by commas). The split is stated by a column or by the file's name
(train.csv, val.csv, test.csv), or is drawn (`val=0.1 test=0.1`).

Kaggle's Flickr8k (captions.txt) and Flickr30k (results.csv with pipes), Flickr8k's own tokens (1.jpg#0, a tab, the
caption; no header), open_clip's CSV with tabs and BLIP's arrays of JSON are such files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from raytrain.data.annotations.columns import Columns, records_of, unused_columns
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import Layout
from raytrain.data.annotations.records import Record, Shares, split_in, with_split
from raytrain.data.annotations.row_detection import layout_of_rows
from raytrain.data.annotations.row_files import LISTED_FILES, columns_of, files_in, read_rows
from raytrain.data.annotations.separated import DELIMITERS
from raytrain.data.annotations.text_files import check_encoding
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.errors import UsageError


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
    encoding: str = "",
    header: bool = True,
    strip: str = "",
    suffix: str = "",
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the rows; the images stay where they are.

    Args:
        root: folder of the files of rows.
        out: folder of the new table.
        file: names of the files, separated by commas; default all .csv, .tsv, .jsonl, .ndjson and .parquet in root.
        images: folder that the column of images is relative to; relative to root, absolute, or a URL.
        image, split, id, group, attribution: names of columns; columns other than image may be absent under their
            default names.
        text: name of the column of captions, or several separated by commas.
        delimiter: of CSV: a character or comma, tab, semicolon, pipe; default the one in its header.
        encoding: of text files; default UTF-8, or what their first bytes show.
        header: whether the first line of CSV names the columns; else their names are 0, 1, ...
        strip: start of the paths that is no part of the path in the folder of images, such as /home/me/photos/.
        suffix: that the names of images lack, such as .jpg.
        val, test: shares of the images to draw for these splits, by a hash of each image, if no split is stated.
        allow_missing: share of the images, of the captions and of the rows, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    delimiter = DELIMITERS.get(delimiter, delimiter)
    if len(delimiter) > 1 or delimiter in ("\n", "\r", '"'):
        raise UsageError(f"delimiter is one character or {', '.join(DELIMITERS)}; given: {delimiter!r}")
    check_encoding(encoding)
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    columns = Columns(image, text, split, id, group, attribution)
    paths, bad_rows = files_in(folder, file, LISTED_FILES), Problems()

    def records() -> Iterator[Record]:
        for path in paths:
            rows = read_rows(path, bad_rows, delimiter, encoding, header)
            stated = split_in(path.stem)
            for record in records_of(rows, path, columns, problems):
                name = record.file.removeprefix(strip)
                yield with_split(replace(record, file=name and name + suffix), stated)

    source = {"name": "captions", "files": [path.name for path in paths], "columns": vars(columns)}
    there = dict.fromkeys(name for path in paths for name in columns_of(path, delimiter, encoding, header))
    if unused := unused_columns(list(there), columns):
        source["unused_columns"] = unused
    return write_records(out, source, records(), shares, problems, root_of(images, folder), bad_rows)


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with a file of rows that has columns of images and captions; None for another folder."""
    return layout_of_rows(root)
