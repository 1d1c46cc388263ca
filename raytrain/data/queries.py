"""Composed queries of a table: a reference image, what to change about it, and the images that answer.

    queries.arrow   one row a query: id, split, reference (row of items), text and phrasings (rows of texts),
                    targets and subset (rows of items)

Texts of such a table are modification texts. A text's item is the reference it modifies, so that texts stay grouped by
item as in every table; what it describes is not that item, and captions are what `Split` takes texts for: train on
composed tables through `QuerySplit`. Tables of images and captions have no queries.arrow.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.problems import Problems
from raytrain.data.test_split import refuse_test
from raytrain.errors import Problem

if TYPE_CHECKING:
    from raytrain.data.table import Table

QUERIES = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("reference", pa.int32()),  # row of items
        ("text", pa.int32()),  # row of texts: the one that is evaluated
        ("phrasings", pa.int32()),  # rows text .. text + phrasings - 1 ask for the same; training may draw one
        ("targets", pa.list_(pa.int32())),  # rows of items, all of them right; empty where they are not published
        ("subset", pa.list_(pa.int32())),  # rows of items ranked among themselves as well; empty where there is none
    ]
)
Gallery = Literal["split", "group"]
_AGAIN = "Build the table again."


class QuerySplit:
    """Composed queries of one split, over the items of that split.

    Letters: Q queries, N items of the split.

    Attributes:
        rows: (Q) rows of the table's queries.
        items: (N) rows of the table's items; the gallery.
        reference: (Q) position in `items` of each query's reference.
        text: (Q) rows of the table's texts.
        phrasings: (Q) how many rows from `text` on ask for the same, at least 1.
        targets, target_offsets: positions in `items`; those from target_offsets[q] to target_offsets[q + 1]
            answer query q.
        subset, subset_offsets: likewise, the subset as annotated, reference and target included.
        item_part: (N) part of the gallery each item stands in; zero where the gallery is whole. A query is answered
            by items of its reference's part (FashionIQ: the category).
    """

    def __init__(self, table: Table, name: str, allow_test: bool = False) -> None:
        assert table.queries is not None
        refuse_test(name, allow_test)
        queries = table.queries
        self.table = table
        self.name = name
        self.rows: np.ndarray = np.flatnonzero(pc.equal(queries["split"], name).to_numpy())
        self.items: np.ndarray = np.flatnonzero(pc.equal(table.items["split"], name).to_numpy())
        chosen = queries.take(pa.array(self.rows))
        self.reference: np.ndarray = np.searchsorted(self.items, chosen["reference"].to_numpy())
        self.text: np.ndarray = chosen["text"].to_numpy().astype(np.int64)
        self.phrasings: np.ndarray = chosen["phrasings"].to_numpy().astype(np.int64)
        targets, self.target_offsets = lists(chosen["targets"])
        subset, self.subset_offsets = lists(chosen["subset"])
        self.targets: np.ndarray = np.searchsorted(self.items, targets)
        self.subset: np.ndarray = np.searchsorted(self.items, subset)
        groups = table.items["group"].to_numpy()[self.items].astype(str)
        self.item_part: np.ndarray = np.zeros(len(self.items), np.int64)
        if table.gallery == "group":
            self.item_part = np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def texts(self) -> np.ndarray:
        """Rows of the table's texts, sorted, that the queries may be asked with."""
        most = int(self.phrasings.max(initial=0))
        return np.unique(np.concatenate([[], *(self.text[self.phrasings > k] + k for k in range(most))]).astype(int))

    def in_both_orders(self) -> QuerySplit:
        """Every query twice, (2 Q): the second time with its second phrasing, or the same where it has only one."""
        twice = copy.copy(self)
        for name in ("rows", "reference", "phrasings", "targets", "subset"):
            setattr(twice, name, np.tile(getattr(self, name), 2))
        twice.text = np.concatenate([self.text, self.text + (self.phrasings > 1)])
        for name in ("target_offsets", "subset_offsets"):
            offsets: np.ndarray = getattr(self, name)
            setattr(twice, name, np.concatenate([offsets, offsets[-1] + offsets[1:]]))
        return twice

    def relevant(self) -> np.ndarray:
        """(Q, N) bool: which items answer which query; a row without any where targets are not published."""
        return _filled(self.targets, self.target_offsets, len(self.items))

    def candidates(self) -> np.ndarray:
        """(Q, N) bool: items of the query's part of the gallery but its reference."""
        found = np.asarray(self.item_part[self.reference][:, None] == self.item_part[None, :])
        found[np.arange(len(self)), self.reference] = False
        return found


def lists(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(values of all lists, offsets of one more than lists), both int64."""
    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    sizes = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return values, np.concatenate([[0], sizes.cumsum()]).astype(np.int64)


def _filled(values: np.ndarray, offsets: np.ndarray, width: int) -> np.ndarray:
    filled = np.zeros((len(offsets) - 1, width), bool)
    filled[np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), values] = True
    return filled


def check_queries(table: Table, problems: Problems) -> None:
    """Adds what is wrong with the queries of a table, each with its row of queries.arrow.

    Rows point at items and texts that exist; reference, targets and subset stand in the query's gallery; a query is not
    answered by its own reference; a split has targets for all queries or for none; ids are unique.
    """
    queries = table.queries
    if queries is None:
        return
    file = str(table.path / "queries.arrow")

    def add(kind: str, rows: np.ndarray, what: str) -> None:
        for row in np.unique(rows).tolist():
            problems.add(f"query {kind}", Problem(file, row, what, _AGAIN))

    split = queries["split"].to_numpy().astype(str)
    ids = queries["id"].to_pylist()
    first = {identity: row for row, identity in reversed(list(enumerate(ids)))}
    add("id", np.array([row for row, identity in enumerate(ids) if first[identity] != row], int), "id appears twice")
    item_split = table.items["split"].to_numpy().astype(str)
    group = table.items["group"].to_numpy().astype(str)
    reference = queries["reference"].to_numpy().astype(np.int64)
    ends = {"reference": (reference, np.arange(len(queries)))}
    for name in ("targets", "subset"):
        values, offsets = lists(queries[name])
        ends[name] = (values, np.repeat(np.arange(len(queries)), np.diff(offsets)))
    known = (reference >= 0) & (reference < len(table.items))
    for name, (values, owner) in ends.items():
        there = (values >= 0) & (values < len(table.items))
        add(f"{name} range", owner[~there], f"{name} points outside the {len(table.items)} items")
        values, owner = values[there], owner[there]
        add(f"{name} split", owner[item_split[values] != split[owner]], f"{name} in another split than the query")
        if table.gallery == "group":
            both = known[owner]
            apart = group[values[both]] != group[reference[owner[both]]]
            add(f"{name} group", owner[both][apart], f"{name} in another part of the gallery than the reference")
        if name == "targets":
            add("self", owner[values == reference[owner]], "the reference is its own target")
            _all_or_none(split, np.bincount(owner, minlength=len(queries)) > 0, add)
    text, phrasings = (queries[name].to_numpy().astype(np.int64) for name in ("text", "phrasings"))
    there = (text >= 0) & (phrasings >= 1) & (text + phrasings <= len(table.texts))
    add("text range", np.flatnonzero(~there), f"text points outside the {len(table.texts)} texts")
    owner_of_text = table.texts["item"].to_numpy()
    rows = np.flatnonzero(there)
    for edge in (text, text + phrasings - 1):
        add("text item", rows[owner_of_text[edge[rows]] != reference[rows]], "the text belongs to another reference")


def _all_or_none(split: np.ndarray, answered: np.ndarray, add: Callable[[str, np.ndarray, str], None]) -> None:
    for name in np.unique(split).tolist():
        here = split == name
        if answered[here].any():
            add("targets", np.flatnonzero(here & ~answered), f"no target, though other queries of {name} have some")
