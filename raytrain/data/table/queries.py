"""Composed queries of a table: a reference image, a text that changes it, and the images that answer.

    queries.arrow   one row per query: id, split, reference (row of items), text and phrasings (rows of texts),
                    targets and subset (rows of items)

Texts of such a table are modification texts. A text's item is the reference it modifies, so that texts are grouped by
item as in every table, but it does not describe that item. `Split` treats texts as captions, so use `QuerySplit` for
composed tables. Tables of images and captions have no queries.arrow.
"""

from __future__ import annotations

import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.table.table import Table
from raytrain.data.table.test_guard import refuse_test
from raytrain.errors import DataError, Problem, UsageError


class QuerySplit:
    """Composed queries of one split, over the items of that split.

    Letters: Q queries, N items of the split.

    Attributes:
        rows: (Q) rows of the table's queries.
        items: (N) rows of the table's items: the gallery.
        reference: (Q) position in `items` of each query's reference.
        text: (Q) rows of the table's texts: each query's first phrasing.
        phrasings: (Q) number of phrasings, at least 1; they are consecutive rows from `text` on.
        targets, target_offsets: positions in `items`; those from target_offsets[q] to target_offsets[q + 1]
            answer query q.
        subset, subset_offsets: likewise, the subset as annotated, including reference and target.
        item_part: (N) part of the gallery of each item; zeros if the gallery is whole. A query is answered by items of
            its reference's part (FashionIQ: the category).

    Raises:
        RefusedError: the test split, during training or without `allow_test`, which only final evaluation passes.
        UsageError: the table has no composed queries, or the split does not exist.
        DataError: queries refer to texts that do not exist, or to items outside their split.
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
        self.reference: np.ndarray = self._positions(chosen["reference"].to_numpy(), "reference")
        self.text: np.ndarray = chosen["text"].to_numpy().astype(np.int64)
        self.phrasings: np.ndarray = chosen["phrasings"].to_numpy().astype(np.int64)
        targets, self.target_offsets = lists(chosen["targets"])
        subset, self.subset_offsets = lists(chosen["subset"])
        self.targets: np.ndarray = self._positions(targets, "targets")
        self.subset: np.ndarray = self._positions(subset, "subset")
        if ((self.text < 0) | (self.phrasings < 1) | (self.text + self.phrasings > len(table.texts))).any():
            raise self._problem(f"text points outside the {len(table.texts)} texts")
        groups = table.items["group"].to_numpy()[self.items].astype(str)
        self.item_part: np.ndarray = np.zeros(len(self.items), np.int64)
        if table.gallery == "group":
            self.item_part = np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def _positions(self, rows: np.ndarray, what: str) -> np.ndarray:
        """Positions in `items` of rows of the table's items; DataError if one is of another split."""
        if not np.isin(rows, self.items).all():
            raise self._problem(f"{what} outside the items of split {self.name}")
        positions: np.ndarray = np.searchsorted(self.items, rows)
        return positions

    def _problem(self, what: str) -> DataError:
        fix = "Build the table again; `raytrain data check` names the rows."
        return DataError(Problem(str(self.table.path / "queries.arrow"), None, what, fix))

    @property
    def texts(self) -> np.ndarray:
        """Rows of the table's texts, sorted: all phrasings of the queries."""
        most = int(self.phrasings.max(initial=0))
        return np.unique(np.concatenate([[], *(self.text[self.phrasings > k] + k for k in range(most))]).astype(int))

    def in_both_orders(self) -> QuerySplit:
        """Every query twice, (2 Q): first with its first phrasing, then with its second one if there is one."""
        twice = copy.copy(self)
        for name in ("rows", "reference", "phrasings", "targets", "subset"):
            setattr(twice, name, np.tile(getattr(self, name), 2))
        twice.text = np.concatenate([self.text, self.text + (self.phrasings > 1)])
        for name in ("target_offsets", "subset_offsets"):
            offsets: np.ndarray = getattr(self, name)
            setattr(twice, name, np.concatenate([offsets, offsets[-1] + offsets[1:]]))
        return twice

    def relevant(self) -> np.ndarray:
        """(Q, N) bool: which items answer which query; all False for a query whose targets are not published."""
        return _filled(self.targets, self.target_offsets, len(self.items))

    def candidates(self) -> np.ndarray:
        """(Q, N) bool: the items of the query's part of the gallery except its reference."""
        allowed = np.asarray(self.item_part[self.reference][:, None] == self.item_part[None, :])
        allowed[np.arange(len(self)), self.reference] = False
        return allowed


def lists(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(values of all lists concatenated, offsets of the lists, one more than there are lists), both int64."""
    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    sizes = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return values, np.concatenate([[0], sizes.cumsum()]).astype(np.int64)


def _filled(values: np.ndarray, offsets: np.ndarray, width: int) -> np.ndarray:
    """(lists, width) bool, True at the values of each list."""
    filled = np.zeros((len(offsets) - 1, width), bool)
    filled[np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), values] = True
    return filled
