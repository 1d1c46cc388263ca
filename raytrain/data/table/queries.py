"""Composed queries of a table: a reference image, what to change about it, and the images that answer.

    queries.arrow   one row a query: id, split, reference (row of items), text and phrasings (rows of texts),
                    targets and subset (rows of items)

Texts of such a table are modification texts. A text's item is the reference it modifies, so that texts stay grouped by
item as in every table; what it describes is not that item, and captions are what `Split` takes texts for: train on
composed tables through `QuerySplit`. Tables of images and captions have no queries.arrow.
"""

from __future__ import annotations

import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.table.table import Table
from raytrain.data.table.test_guard import refuse_test
from raytrain.errors import UsageError


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

    Raises:
        RefusedError: the test split, while something trains or without `allow_test`, which final evaluation passes.
        UsageError: a table of images and captions, or a split that does not exist.
    """

    def __init__(self, table: Table, name: str, allow_test: bool = False) -> None:
        queries = table.queries
        if queries is None:
            raise UsageError(f"{table.path} has no composed queries; it holds images and captions")
        table.refuse_unknown_split(name)
        refuse_test(name, allow_test)
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
