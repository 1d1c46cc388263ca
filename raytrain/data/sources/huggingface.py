"""Hugging Face data sets on disk, read without the datasets library: `save_to_disk` folders or Parquet shards.

    dataset_dict.json                        {"splits": ["train", "test"]}
    train/state.json                         {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    train/data-00000-of-00001.arrow          rows with {bytes, path} images

or  data/train-00000-of-00002.parquet, ...   split in the name, or in the folder

Images inside rows are written to the table's own images/, byte for byte, once their format is checked. Their names are
made of their content, so rows with the same bytes are one image. Images given as paths are read below root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from raytrain.data.annotations.columns import (
    IMAGE_NAMES,
    SPLIT_NAMES,
    Columns,
    records_of,
    text_columns,
    unused_columns,
)
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import GUESSED, MARKED, Layout, column_named
from raytrain.data.annotations.records import Record, Shares, split_in, split_of, with_split
from raytrain.data.annotations.row_files import columns_of, read_rows
from raytrain.data.images import MAX_IMAGE_BYTES
from raytrain.data.paths import PATH_FIX, contained, files_below, need_folder
from raytrain.data.presence import Presence
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem
from raytrain.files import open_regular

_FIX = "Save the data set again with save_to_disk."
_SHARD = re.compile(r"^(.*)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?$")

_FIRST_ROWS = 8  # of a shard, in which `data detect` looks for images

Shard = tuple[Path, str]  # file of rows, and the split that its name or folder states, as written


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    image: str = "image",
    text: str = "text",
    split: str = "split",
    id: str = "image_id",
    group: str = "group",
    attribution: str = "attribution",
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of all splits, with the images copied into it.

    Args:
        root: folder of the data set.
        out: folder of the new table.
        image, split, id, group, attribution: names of columns; columns other than image may be absent under their
            default names. Without a column of ids, an image's id is made of its content.
        text: name of the column of captions, or several separated by commas; a value may be a list.
        val, test: shares of the images to draw for these splits, by a hash of each image, if no split is stated.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    columns, bad_rows = Columns(image, text, split, id, group, attribution), Problems()
    data_shards = shards(folder, problems)
    problems.raise_if_any()
    presence = Presence(folder)

    def records() -> Iterator[Record]:
        for path, stated in data_shards:
            for record in records_of(read_rows(path, bad_rows), path, columns, problems, embedded=True):
                loaded = _from_disk(presence, record, problems) if record.data is None and record.file else record
                if loaded is not None:
                    yield with_split(loaded, stated)

    files = [path.relative_to(folder).as_posix() for path, _ in data_shards]
    source = {"name": "huggingface", "files": files, "columns": vars(columns)}
    there = dict.fromkeys(name for path, _ in data_shards for name in columns_of(path))
    if unused := unused_columns(list(there), columns):
        source["unused_columns"] = unused
    return write_records(out, source, records(), shares, problems, None, bad_rows)


def _from_disk(presence: Presence, record: Record, problems: Problems) -> Record | None:
    """The record with the bytes of the image at its path; unchanged if there is none; None after adding a problem."""
    placed = presence.find(record.file)
    if placed.kind == "path":
        problems.add("path", record.place.problem(placed.what, PATH_FIX))
        return None
    if placed.kind == "not found":
        return record
    with open_regular(contained(presence.root, placed.file)) as file:  # type: ignore[arg-type]
        return replace(record, data=file.read(MAX_IMAGE_BYTES + 1))


def shards(folder: Path, problems: Problems) -> list[Shard]:
    """The shards of a data set, in order; missing ones are added to `problems`.

    Raises:
        DataError: the folder holds no data set, or its descriptions cannot be read.
    """
    need_folder(folder, "data set's folder")
    if (folder / "dataset_dict.json").is_file():
        path = folder / "dataset_dict.json"
        names = read_json(path, dict, _FIX).get("splits")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(Problem(str(path), None, "no list of names under 'splits'", _FIX))
        return [shard for name in names for shard in _saved(_inside(folder, name, path), name, problems)]
    if (folder / "state.json").is_file():
        return _saved(folder, "", problems)
    paths = sorted(path for path in files_below(folder) if path.suffix in (".parquet", ".arrow") and path.is_file())
    paths = [path for path in paths if not path.name.startswith(("cache-", "indices", "metadata."))]
    if not paths:
        what = "no dataset_dict.json, state.json, *.parquet or *.arrow"
        raise DataError(Problem(str(folder), None, what, "Save the data set with save_to_disk, or as Parquet."))
    _complete(paths, problems)
    return [(path, _stated(folder, path)) for path in paths]


def _saved(folder: Path, split: str, problems: Problems) -> list[Shard]:
    """The shards that a folder's state.json lists; `split` is the one that dataset_dict.json states, or empty."""
    path = folder / "state.json"
    state: dict[str, Any] = read_json(path, dict, _FIX)
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise DataError(Problem(str(path), None, "no list under '_data_files'", _FIX))
    if state.get("_indices_data_files") or state.get("_indices_files"):
        what = "a selection of rows with its indices in other files"
        raise DataError(Problem(str(path), None, what, "Call flatten_indices() before save_to_disk()."))
    own_split = str(state.get("_split") or "")  # of a single split that was saved without a dataset_dict.json
    split = split or (own_split if split_of(own_split) else "")
    files = []
    for row, entry in enumerate(listed):
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.endswith(".arrow"):
            problems.add("state", Problem(str(path), row, f"{name!r} is not the name of an .arrow file", _FIX))
            continue
        file = _inside(folder, name, path, row)
        if file.is_file():
            files.append((file, split))
        else:
            problems.add("shard", Problem(str(path), row, f"{file} not found", "Copy all shards of the data set."))
    return files


def _inside(folder: Path, name: str, file: Path, row: int | None = None) -> Path:
    """A file that a description of the data set names; `file` and `row` of that description are for the error."""
    try:
        return contained(folder, name)
    except DataError as error:
        raise DataError(replace(error.problems[0], file=str(file), row=row)) from None


def _complete(paths: list[Path], problems: Problems) -> None:
    """Adds shards that are missing by the total in the names of the others: "train-00000-of-00002.parquet"."""
    present: dict[tuple[Path, str, int], set[int]] = {}
    for path in paths:
        if shard := _SHARD.match(path.stem):
            present.setdefault((path.parent, shard[1], int(shard[3])), set()).add(int(shard[2]))
    for (folder, name, total), numbers in present.items():
        for number in sorted(set(range(min(total, 100_000))) - numbers):
            what = f"shard {name}-{number:05d}-of-{total:05d} not found"
            problems.add(f"shard {folder} {name}", Problem(str(folder), None, what, "Get all shards of the data set."))


def _stated(root: Path, path: Path) -> str:
    """The split that a shard's name or its folders state, as written; "" if none does."""
    folders = path.relative_to(root).parts[:-1]
    shard = _SHARD.match(path.stem)
    return split_in(shard[1] if shard else path.stem) or next((part for part in folders if split_of(part)), "")


def looks_like(root: Path) -> Layout | None:
    """The layout of a saved data set, or of a folder of shards with a column of images; None for another folder."""
    problems = Problems()
    try:
        data_shards = shards(root, problems)
    except DataError as error:
        if not (root / "dataset_dict.json").is_file() and not (root / "state.json").is_file():
            return None
        return Layout(["dataset_dict.json or state.json"], [str(error.problems[0])], {}, MARKED)
    incomplete = [problem.what for problem in problems.list()]
    if not data_shards:
        return Layout(["dataset_dict.json or state.json"], incomplete, {}, MARKED)
    saved = data_shards[0][0].suffix == ".arrow"
    columns = columns_of(data_shards[0][0])
    image, split = (column_named(columns, names) for names in (IMAGE_NAMES, SPLIT_NAMES))
    text = ",".join(text_columns([column for column in columns if column != image]))
    if not saved and not image:
        return None
    options: dict[str, Any] = {
        key: value for key, value in (("image", image), ("text", text)) if value not in ("", key)
    }
    if split not in ("", "split"):
        options["split"] = split
    if not split and "val" not in (splits_stated := {split_of(stated) for _, stated in data_shards}):
        options |= {"val": 0.1} if "test" in splits_stated else {"val": 0.1, "test": 0.1}
    if image and not _has_images(root, data_shards[0][0], image):
        what = f"images: the column {image} holds none, and names none that is here"
        in_objects = image in _object_columns(data_shards[0][0])
        return Layout([], [what], {}, MARKED if saved else GUESSED) if saved or in_objects else None
    missing = [f"a column of {what}s" for what, name in (("image", image), ("text", text)) if not name]
    splits = ", ".join(dict.fromkeys(stated or "no split stated" for _, stated in data_shards))
    number = f"{len(data_shards)} file{'s' if len(data_shards) > 1 else ''}"
    description = f"{number} of rows: {splits} (columns {', '.join(columns)})"
    return Layout([description], [*missing, *incomplete], options, MARKED if saved else GUESSED)


def _object_columns(path: Path) -> set[str]:
    """Columns of objects such as {bytes, path}; a file of paths alone is one of the source captions."""
    first = next(read_rows(path, Problems()), (0, {}))[1]
    return {name for name, value in first.items() if isinstance(value, dict)}


def _has_images(root: Path, path: Path, column: str) -> bool:
    """Whether a first row of a shard holds an image, or names one below root; True for a shard that cannot be read."""
    presence = Presence(root)
    try:
        values = [row.get(column) for _, row in islice(read_rows(path, Problems()), _FIRST_ROWS)]
    except DataError:
        return True
    return any(
        isinstance(value, bytes)
        or (isinstance(value, dict) and (value.get("bytes") or presence.has(str(value.get("path") or ""))))
        or (isinstance(value, str) and presence.has(value))
        for value in values
    )
