"""Composed queries as a source gathers them: what sources of triplets share between annotation and table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from raytrain.data.annotations.items import Item, present_images, to_arrow
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.data.storage import Root
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.data.table.schema import QUERIES, Gallery
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem

_ANNOTATION = "Correct the entry."


@dataclass(frozen=True)
class Query:
    """One composed query.

    Args:
        id: unique in the table.
        split: "train", "val" or "test".
        reference: id of an item.
        texts: what to change; all say the same, the first is the one that is evaluated.
        targets: ids of the items that answer it; empty where they are not published.
        subset: ids of items that are ranked among themselves as well, or empty.
        place: of its annotation, for errors.
    """

    id: str
    split: str
    reference: str
    texts: list[str]
    targets: list[str]
    place: SourceLocation
    subset: list[str] = field(default_factory=list)


def write(
    out: str | os.PathLike[str],
    source: Mapping[str, Any],
    image_root: Root,
    items: Sequence[Item],
    places: Mapping[str, SourceLocation],
    queries: Sequence[Query],
    problems: Problems,
    allow_missing: float,
    gallery: Gallery = "split",
) -> Table:
    """Checks what a source has gathered and writes the table.

    An image that is absent is left out and listed under `missing`. A query keeps the targets that are there; without
    its reference, any target or a member of its subset it is left out and listed under the source's `missing_queries`.

    Args:
        source: name and options, for table.json.
        image_root: folder that the items' files are relative to.
        items: without texts.
        places: of each item's annotation.
        queries: in any order.
        problems: what the source has found wrong so far; nothing is written if there is any.
        allow_missing: share of the items in [0, 1] whose image may be absent.
        gallery: what a query is ranked against.

    Raises:
        DataError: everything wrong, at once.
    """
    missing = Missing(allow_missing)
    if not image_root.is_dir():
        raise DataError(Problem(str(image_root), None, "not a folder", "Name the image folder with images=FOLDER."))
    _check(items, places, queries, gallery, problems)
    present = present_images(items, places, image_root, missing, problems)
    problems.raise_if_any()
    kept, dropped = _answerable(queries, {item.id for item in present})
    for query in dropped:
        missing.add_query(query.split, len(query.texts))
    if not kept:
        what = "no query has its reference and a target among the images that are there"
        raise DataError(Problem(str(image_root), None, what, "Check images=FOLDER."))
    said: dict[str, Any] = {**source, "missing_queries": [query.id for query in dropped]}
    if shared := _shared_files(present):
        said["shared_files"] = shared
    with TableWriter(out, said, image_root=image_root, missing=missing) as writer:
        writer.write(*to_tables(present, kept), gallery)
    return Table(out)


def to_tables(items: Sequence[Item], queries: Sequence[Query]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(items, texts, queries) in the columns of a table; queries in the order given, texts in that of references."""
    row = {item.id: number for number, item in enumerate(items)}
    texts: dict[str, list[tuple[str, str]]] = {item.id: [] for item in items}
    first, start = {}, 0
    for query in sorted(queries, key=lambda query: row[query.reference]):  # stable: as given within a reference
        first[query.id] = start
        start += len(query.texts)
        texts[query.reference] += [(f"{query.id}#{number}", text) for number, text in enumerate(query.texts)]
    columns: dict[str, list[Any]] = {
        "id": [query.id for query in queries],
        "split": [query.split for query in queries],
        "reference": [row[query.reference] for query in queries],
        "text": [first[query.id] for query in queries],
        "phrasings": [len(query.texts) for query in queries],
        "targets": [[row[target] for target in query.targets] for query in queries],
        "subset": [[row[member] for member in query.subset] for query in queries],
    }
    spoken = [replace(item, texts=texts[item.id]) for item in items]
    return *to_arrow(spoken), pa.table(columns, schema=QUERIES)


def _check(
    items: Sequence[Item],
    places: Mapping[str, SourceLocation],
    queries: Sequence[Query],
    gallery: Gallery,
    problems: Problems,
) -> None:
    """References, targets and subsets are annotated items of the query's gallery; ids are unique."""
    by_id: dict[str, Item] = {}
    for item in items:
        if by_id.setdefault(item.id, item) is not item:
            place = places[item.id]
            problems.add("item id", Problem(place.file, place.row, f"image {item.id!r} appears twice", "Keep one."))
    seen: set[str] = set()
    for query in queries:

        def bad(kind: str, what: str, place: SourceLocation = query.place) -> None:
            problems.add(kind, Problem(place.file, place.row, what, _ANNOTATION))

        if query.id in seen:
            bad("query id", f"query {query.id!r} appears twice")
        seen.add(query.id)
        home = by_id.get(query.reference)
        for kind, ids in (("reference", [query.reference]), ("target", query.targets), ("member", query.subset)):
            for name in ids:
                item_of = by_id.get(name)
                if item_of is None or item_of.split != query.split:
                    where = "not annotated" if item_of is None else f"of split {item_of.split}"
                    bad(f"{kind} id", f"{kind} {name!r} is {where}; the query is of split {query.split}")
                elif gallery == "group" and home is not None and item_of.group != home.group:
                    bad(f"{kind} group", f"{kind} {name!r} is of {item_of.group!r}, the reference of {home.group!r}")
        if query.reference in query.targets:
            bad("self", f"reference {query.reference!r} is its own target")


def _answerable(queries: Sequence[Query], present: set[str]) -> tuple[list[Query], list[Query]]:
    kept, dropped = [], []
    for query in queries:
        targets = [target for target in query.targets if target in present]
        answered = bool(targets) or not query.targets
        if answered and query.reference in present and present.issuperset(query.subset):
            kept.append(replace(query, targets=targets))
        else:
            dropped.append(query)
    return kept, dropped


def _shared_files(items: Sequence[Item]) -> int:
    """How many items show a file that an earlier item of another split shows."""
    first: dict[str, str] = {}
    return sum(first.setdefault(item.file, item.split) != item.split for item in items)
