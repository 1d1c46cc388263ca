"""Composed queries: checks of what a source of triplets has read, and the table they make."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from raytrain.data.annotations.items import Item, check_image_root, facts_of_files, present_images, to_arrow
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.data.storage import Root
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.data.table.schema import QUERIES, Gallery
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem

_FIX = "Correct the entry."


@dataclass(frozen=True)
class Query:
    """One composed query.

    Args:
        id: unique in the table.
        split: "train", "val" or "test".
        reference: id of an item.
        texts: phrasings of what to change; the first one is evaluated.
        targets: ids of the items that answer it; empty if they are not published.
        place: of its annotation, for errors.
        subset: ids of items that are also ranked among themselves, or empty.
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
    """Checks the items and queries of a source and writes their table.

    Images that are absent are left out and listed under `missing`. A query keeps the targets that are there. It is left
    out and listed under the source's `missing_queries` if its reference, all its targets or a member of its subset are
    absent.

    Args:
        out: folder of the new table.
        source: name and options of the source, for table.json.
        image_root: what the items' files are relative to.
        items: without texts.
        places: {item id: place of its annotation}.
        queries: in any order.
        problems: of reading the annotations; nothing is written if there is any.
        allow_missing: share of the items in [0, 1] whose image may be absent.
        gallery: what a query is ranked against.

    Raises:
        DataError: all problems at once.
    """
    missing = Missing(allow_missing)
    check_image_root(image_root)
    _check(items, places, queries, gallery, problems)
    present = present_images(items, places, image_root, missing, problems)
    problems.raise_if_any()
    kept, dropped = _answerable(queries, {item.id for item in present})
    for query in dropped:
        missing.add_query(query.split, len(query.texts))
    if not kept:
        what = "no query has its reference and a target among the images that are there"
        raise DataError(Problem(str(image_root), None, what, "Check images=FOLDER."))
    description: dict[str, Any] = {**source, "missing_queries": [query.id for query in dropped]}
    description |= facts_of_files(items, present, image_root)
    if shared := _shared_files(present):
        description["shared_files"] = shared
    with TableWriter(out, description, image_root=image_root, missing=missing) as writer:
        writer.write(*to_tables(present, kept), gallery)
    return Table(out)


def to_tables(items: Sequence[Item], queries: Sequence[Query]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(items, texts, queries) in the columns of a table; queries in the given order, texts in that of their references.

    A query's texts become texts of its reference, so that texts are grouped by item as in every table.
    """
    row = {item.id: number for number, item in enumerate(items)}
    texts: dict[str, list[tuple[str, str]]] = {item.id: [] for item in items}
    first, start = {}, 0
    for query in sorted(queries, key=lambda query: row[query.reference]):  # stable: in the given order per reference
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
    items_with_texts = [replace(item, texts=texts[item.id]) for item in items]
    return *to_arrow(items_with_texts), pa.table(columns, schema=QUERIES)


def _check(
    items: Sequence[Item],
    places: Mapping[str, SourceLocation],
    queries: Sequence[Query],
    gallery: Gallery,
    problems: Problems,
) -> None:
    """Adds problems: repeated ids; references, targets and subset members that are no items of the query's gallery."""
    by_id: dict[str, Item] = {}
    for item in items:
        if by_id.setdefault(item.id, item) is not item:
            problems.add("item id", places[item.id].problem(f"image {item.id!r} appears twice", "Keep one."))
    seen: set[str] = set()
    for query in queries:
        if query.id in seen:
            problems.add("query id", query.place.problem(f"query {query.id!r} appears twice", _FIX))
        seen.add(query.id)
        reference = by_id.get(query.reference)
        for role, ids in (("reference", [query.reference]), ("target", query.targets), ("member", query.subset)):
            for name in ids:
                member = by_id.get(name)
                if member is None or member.split != query.split:
                    where = "not annotated" if member is None else f"of split {member.split}"
                    what = f"{role} {name!r} is {where}; the query is of split {query.split}"
                    problems.add(f"{role} id", query.place.problem(what, _FIX))
                elif gallery == "group" and reference is not None and member.group != reference.group:
                    what = f"{role} {name!r} is of {member.group!r}, the reference of {reference.group!r}"
                    problems.add(f"{role} group", query.place.problem(what, _FIX))
        if query.reference in query.targets:
            what = f"reference {query.reference!r} is its own target"
            problems.add("self", query.place.problem(what, _FIX))


def _answerable(queries: Sequence[Query], present: set[str]) -> tuple[list[Query], list[Query]]:
    """(queries whose images are present, with the targets that are, the other queries); `present` holds item ids."""
    kept, dropped = [], []
    for query in queries:
        targets = [target for target in query.targets if target in present]
        has_target = bool(targets) or not query.targets
        if has_target and query.reference in present and present.issuperset(query.subset):
            kept.append(replace(query, targets=targets))
        else:
            dropped.append(query)
    return kept, dropped


def _shared_files(items: Sequence[Item]) -> int:
    """The number of items whose file an earlier item of another split has too."""
    first_split: dict[str, str] = {}
    return sum(first_split.setdefault(item.file, item.split) != item.split for item in items)
