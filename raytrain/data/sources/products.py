"""Catalogue photos with attributes, and triplets derived from them.

    products.json                       [{"id", "file", "split", "type", ...}, ...]
    triplets.{train,val,test}.json      [{"reference", "caption", "kind", "targets": [ids]}, ...]
    images/

Reference and targets differ in one attribute, which the caption names ("same but in off white"); every product of the
split with the requested attributes is a target. Captions are templates filled with attributes, not written by people:
call results "attribute-derived".
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.json_files import read_json, strings_of, text_of
from raytrain.data.annotations.layouts import Layout, layout_of
from raytrain.data.annotations.placement import with_listed_images
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError


def build(
    root: str | os.PathLike[str], out: str | os.PathLike[str], *, images: str = "images", allow_missing: float = 0.0
) -> Table:
    """Builds the table of products.json and its triplets; the images stay where they are.

    A product's group is its type.

    Args:
        root: folder with products.json and triplets.*.json.
        out: folder of the new table.
        images: folder of the images; relative to root, absolute, or a URL.
        allow_missing: share of the products in [0, 1] whose image may be absent.

    Raises:
        DataError: all problems of the files at once.
    """
    folder, problems = Path(root).expanduser().resolve(), Problems()
    items, places = read_products(folder / "products.json", problems)
    queries = [query for split in SPLITS for query in read_triplets(folder / f"triplets.{split}.json", split, problems)]
    source = {"name": "products", "relevance": "attribute-derived"}
    return write(out, source, root_of(images, folder), items, places, queries, problems, allow_missing)


def read_products(path: Path, problems: Problems) -> tuple[list[Item], dict[str, SourceLocation]]:
    """(products as items without texts, the place of each by item id)."""
    entries: list[Any] = read_json(path, list, "Write a list of {id, file, split, type}.")
    items, places = [], {}
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        identity, file, split = (text_of(entry, key, place, problems) for key in ("id", "file", "split"))
        if split and split not in SPLITS:
            what = f"split {split!r}, allowed are {', '.join(SPLITS)}"
            problems.add("split", place.problem(what, "Correct the entry."))
        kind = entry.get("type", "") if isinstance(entry, dict) else ""
        if identity:
            items.append(Item(identity, file, split, group=kind if isinstance(kind, str) else ""))
            places[identity] = place
    return items, places


def read_triplets(path: Path, split: str, problems: Problems) -> list[Query]:
    """The triplets of a split as queries with all their targets."""
    entries: list[Any] = read_json(path, list, "Write a list of {reference, caption, targets}.")
    queries = []
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        before = len(problems)
        reference, caption = (text_of(entry, key, place, problems) for key in ("reference", "caption"))
        targets = strings_of(entry, "targets", place, problems) if isinstance(entry, dict) else []
        if len(problems) == before:
            queries.append(Query(f"{split}{row}", split, reference, [caption], list(dict.fromkeys(targets)), place))
    return queries


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with products.json; None for another folder."""
    if not (root / "products.json").is_file():
        return None
    layout = layout_of(root, ["products.json", *(f"triplets.{split}.json" for split in SPLITS), "images/"])
    try:
        items, _ = read_products(root / "products.json", Problems())
    except DataError as error:
        return layout and replace(layout, missing=[str(error.problems[0])])
    return with_listed_images(layout, root / "images", (item.file for item in items))
