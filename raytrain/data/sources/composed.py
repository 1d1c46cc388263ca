"""Your own composed triplets: JSON lines of reference, text and target, and the images.

    triplets.jsonl   {"reference": "1.jpg", "text": "in red", "target": "2.jpg", "split": "train"}
                     {"reference": "3.jpg", "texts": ["longer", "a longer one"], "targets": ["4.jpg", "5.jpg"],
                      "split": "val", "group": "dress", "subset": ["3.jpg", "4.jpg", "6.jpg"], "id": "q7"}
                     {"image": "9.jpg", "split": "val", "group": "dress"}      in the gallery, but in no triplet
    images/          the folder that the paths are relative to

The split is stated by a key or by the file's name (train.jsonl, val.jsonl, test.jsonl). Only triplets of the test split
may lack a target. If rows have a group, a query is ranked against the images of its own group.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.columns import texts_of, word_of
from raytrain.data.annotations.items import Item
from raytrain.data.annotations.layouts import MARKED, Layout, describe_match
from raytrain.data.annotations.placement import place_images
from raytrain.data.annotations.records import SourceLocation, split_in, split_of
from raytrain.data.annotations.row_files import Row, columns_of, files_in, read_rows
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError, Problem

_SUFFIXES = (".jsonl", ".ndjson")
_FIX = "Correct the row."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    file: str = "",
    images: str = "images",
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the triplets; the images stay where they are. An image's id is its path.

    Args:
        root: folder of the files of triplets.
        out: folder of the new table.
        file: names of the files, separated by commas; default all .jsonl in root.
        images: folder that paths are relative to; relative to root, absolute, or a URL.
        allow_missing: share of the images in [0, 1] that may be absent or broken.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    folder, problems = Path(root).expanduser().resolve(), Problems()
    paths = files_in(folder, file, _SUFFIXES)
    triplets = _Triplets(problems)
    for path in paths:
        for number, row in read_rows(path, problems):
            triplets.add(row, SourceLocation(str(path), number), split_in(path.stem))
    if not triplets.queries:
        fix = "Write a reference, a text and a target per line."
        problems.add("none", Problem(str(paths[0]), None, "no triplet", fix))
    items, queries = list(triplets.items.values()), triplets.queries
    source = {"name": "composed", "files": [path.name for path in paths]}
    image_root = root_of(images, folder)
    return write(
        out, source, image_root, items, triplets.places, queries, problems, allow_missing,
        "group" if any(item.group for item in items) else "split",
    )  # fmt: skip


class _Triplets:
    """Collects images and triplets row by row.

    Attributes:
        items: {path: item}.
        places: {path: place of the first row that names it}.
        queries: in the order of the rows.
    """

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.items: dict[str, Item] = {}
        self.places: dict[str, SourceLocation] = {}
        self.queries: list[Query] = []

    def add(self, row: Row, place: SourceLocation, stated: str) -> None:
        """Adds a row, or its problems; `stated` is the split of the file's name, or empty."""
        before = len(self.problems)
        split, group = (word_of(row.get(name), name, place, self.problems) for name in ("split", "group"))
        split_name = split_of(split or stated)
        if split_name is None and len(self.problems) == before:
            what = f"split {split!r}, allowed are {', '.join(SPLITS)}"
            self.problems.add("split", place.problem(what, _FIX))
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
        texts = [caption_of(text) for text in texts_of(text_value, "text", place, self.problems)]
        if not all(texts):
            what = "an empty text, or none under 'text' or 'texts'"
            self.problems.add("text", place.problem(what, _FIX))
        if len(reference) != 1:
            self.problems.add("reference", place.problem("no path under 'reference'", _FIX))
        if not targets and split_name != "test":
            what = "no path under 'target' or 'targets'; only test triplets may lack it"
            self.problems.add("target", place.problem(what, _FIX))
        name = word_of(row.get("id"), "id", place, self.problems) or f"{PurePosixPath(place.file).stem}{place.row}"
        for image in (*reference, *targets, *subset):
            self._image(image, split_name, group, place)
        if len(self.problems) == before:
            texts, targets, subset = (list(dict.fromkeys(values)) for values in (texts, targets, subset))
            self.queries.append(Query(name, split_name, reference[0], texts, targets, place, subset))

    def _paths(self, row: Row, name: str, place: SourceLocation) -> list[str]:
        """The paths under a key, which holds one or a list; [] after adding a problem."""
        value: Any = row.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(path, str) and path for path in values):
            self.problems.add(f"kind {name}", place.problem(f"{name!r} is not a path or a list of paths", _FIX))
            return []
        return [str(PurePosixPath(path)) for path in values]

    def _image(self, path: str, split: str, group: str, place: SourceLocation) -> None:
        """Adds an image, or a problem if an earlier row states another split or group of it."""
        item = self.items.setdefault(path, Item(path, path, split, group=group))
        first = self.places.setdefault(path, place)
        for name, value, before in (("split", split, item.split), ("group", group, item.group)):
            if value != before:
                where = f"row {first.row}" if first.file == place.file else f"{first.file}, row {first.row}"
                what = f"image {path!r} is of {name} {value!r}, and of {before!r} in {where}"
                self.problems.add(f"two {name}s", place.problem(what, _FIX))


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with JSON lines that have a reference; None for another folder."""
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
    place = place_images(root, [str(row.get("reference") or row.get("image") or "") for row in rows], plain=True)
    options |= place.options if place else {}
    missing = [] if place else ["the folder of the images"]
    if "split" not in columns and not all(split_in(path.stem) for path in triplet_files):
        missing.append("the key split, or files called train.jsonl, val.jsonl, test.jsonl")
    descriptions = [
        f"{', '.join(path.name for path in triplet_files)} (keys {', '.join(columns)})",
        *([describe_match(root, f"{place.folder}/"), *place.words()] if place else []),
    ]
    return Layout([line for line in descriptions if line], missing, options, MARKED)
