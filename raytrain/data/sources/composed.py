"""Composed triplets of one's own: JSON lines of reference, text and target, and the images.

    triplets.jsonl   {"reference": "1.jpg", "text": "in red", "target": "2.jpg", "split": "train"}
                     {"reference": "3.jpg", "texts": ["longer", "a longer one"], "targets": ["4.jpg", "5.jpg"],
                      "split": "val", "group": "dress", "subset": ["3.jpg", "4.jpg", "6.jpg"], "id": "q7"}
                     {"image": "9.jpg", "split": "val", "group": "dress"}      in the gallery, in no triplet
    images/          what the paths start at

The split is a key, or the file's own name (train.jsonl, val.jsonl, test.jsonl). Only triplets of the test split may
lack a target. Where rows have a group, a query is ranked against its own group's images.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.columns import texts_of, word_of
from raytrain.data.annotations.items import Item
from raytrain.data.annotations.layouts import MARKED, Layout, describe_match, image_folder
from raytrain.data.annotations.records import SourceLocation, split_in, split_of
from raytrain.data.annotations.row_files import Row, columns_of, files_in, read_rows
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError, Problem

_SUFFIXES = (".jsonl", ".ndjson")
_ROW = "Correct the row."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    file: str = "",
    images: str = "images",
    allow_missing: float = 0.0,
) -> Table:
    """The table of the triplets; the images stay where they are. An image's id is its path.

    Args:
        root: folder of the files of triplets.
        out: folder of the new table.
        file: names of the files, separated by commas; default every .jsonl in root.
        images: folder that paths start at, relative to root or absolute.
        allow_missing: share of the images in [0, 1] that may be absent or broken.

    Raises:
        DataError: every problem of the files at once.
    """
    folder, problems = Path(root).expanduser().resolve(), Problems()
    paths = files_in(folder, file, _SUFFIXES)
    triplets = _Triplets(problems)
    for path in paths:
        for number, row in read_rows(path, problems):
            triplets.add(row, SourceLocation(str(path), number), split_in(path.stem))
    if not triplets.queries:
        problems.add("none", Problem(str(paths[0]), None, "no triplet", "Write a reference, text and target a line."))
    items, queries = list(triplets.items.values()), triplets.queries
    source = {"name": "composed", "files": [path.name for path in paths]}
    image_root = root_of(images, folder)
    return write(
        out, source, image_root, items, triplets.places, queries, problems, allow_missing,
        "group" if any(item.group for item in items) else "split",
    )  # fmt: skip


class _Triplets:
    """Images and triplets, row by row."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.items: dict[str, Item] = {}
        self.places: dict[str, SourceLocation] = {}
        self.queries: list[Query] = []

    def add(self, row: Row, place: SourceLocation, stated: str) -> None:
        before = len(self.problems)
        split, group = (word_of(row.get(name), name, place, self.problems) for name in ("split", "group"))
        split_name = split_of(split or stated)
        if split_name is None and len(self.problems) == before:
            what = f"split {split!r}, allowed are {', '.join(SPLITS)}"
            self._bad("split", place, what)
        if len(self.problems) > before or split_name is None:
            return
        if row.get("reference") is None and row.get("image") is not None:
            for image in self._paths(row, "image", place):
                self._image(image, split_name, group, place)
            return
        reference = self._paths(row, "reference", place)
        targets = [path for name in ("target", "targets") for path in self._paths(row, name, place)]
        subset = self._paths(row, "subset", place)
        text_value = row.get("texts", row.get("text"))
        texts = [" ".join(text.split()) for text in texts_of(text_value, "text", place, self.problems)]
        if not all(texts):
            self._bad("text", place, "an empty text, or none under 'text' or 'texts'")
        if len(reference) != 1:
            self._bad("reference", place, "no path under 'reference'")
        if not targets and split_name != "test":
            self._bad("target", place, "no path under 'target' or 'targets'; only test triplets may lack it")
        name = word_of(row.get("id"), "id", place, self.problems) or f"{PurePosixPath(place.file).stem}{place.row}"
        for image in (*reference, *targets, *subset):
            self._image(image, split_name, group, place)
        if len(self.problems) == before:
            targets, texts = list(dict.fromkeys(targets)), list(dict.fromkeys(texts))
            self.queries.append(Query(name, split_name, reference[0], texts, targets, place, list(dict.fromkeys(subset))))

    def _paths(self, row: Row, name: str, place: SourceLocation) -> list[str]:
        value: Any = row.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(path, str) and path for path in values):
            self._bad(f"kind {name}", place, f"{name!r} is no path or list of paths")
            return []
        return [str(PurePosixPath(path)) for path in values]

    def _image(self, path: str, split: str, group: str, place: SourceLocation) -> None:
        item = self.items.setdefault(path, Item(path, path, split, group=group))
        first = self.places.setdefault(path, place)
        for what, value, before in (("split", split, item.split), ("group", group, item.group)):
            if value != before:
                where = f"row {first.row}" if first.file == place.file else f"{first.file}, row {first.row}"
                self._bad(f"two {what}s", place, f"image {path!r} is of {what} {value!r}, and of {before!r} in {where}")

    def _bad(self, kind: str, place: SourceLocation, what: str) -> None:
        self.problems.add(kind, Problem(place.file, place.row, what, _ROW))


def looks_like(root: Path) -> Layout | None:
    try:
        paths = files_in(root, "", _SUFFIXES)
    except DataError:
        return None
    triplet_files = [path for path in paths if "reference" in columns_of(path)]
    if not triplet_files:
        return None
    columns = columns_of(triplet_files[0])
    options = {"file": ",".join(path.name for path in triplet_files)} if len(triplet_files) < len(paths) else {}
    try:
        rows = [row for _, row in islice(read_rows(triplet_files[0], Problems()), 20)]
    except DataError:
        rows = []
    folder = image_folder(root, [str(row.get("reference")) for row in rows])
    if folder not in (None, "images"):
        options["images"] = str(folder)
    missing = [] if folder else ["the folder of the images"]
    if "split" not in columns and not all(split_in(path.stem) for path in triplet_files):
        missing.append("the key split, or files called train.jsonl, val.jsonl, test.jsonl")
    descriptions = [f"{', '.join(path.name for path in triplet_files)} (keys {', '.join(columns)})", describe_match(root, f"{folder}/")]
    return Layout([description for description in descriptions if description], missing, options, MARKED)
