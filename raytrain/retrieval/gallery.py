"""What is searched: embeddings of images or of texts, with what identifies and shows each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from raytrain.data.table import Table
from raytrain.data.table.test_guard import refuse_test
from raytrain.errors import UsageError
from raytrain.retrieval.index.candidates import Candidates
from raytrain.retrieval.scores import Kind


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images or texts that queries are compared with; equal to itself alone.

    Args:
        of: what it holds.
        embeddings: (G, ...) by the model that searches it; those of an index are memory-mapped.
        ids: of each image or text.
        texts: each text; of an image its first caption, "" where it has none.
        files: of each image, or of the image that a text belongs to, relative to the table's image root; "" for none.
        splits: of the table, that each belongs to; "" where it is of no table.
        table: that it was read from; None for what a caller gave, and for what was stored with a model.
        rows: (G,) rows of the table's items or texts.
        items: (G,) rows of the table's items that each is, or belongs to.
        fingerprint: of the table; "" where it is of none.
        left_out: number of images without features, which are not in it.
        candidates: of an index that has some: which entries are compared with a query; None compares all.
    """

    of: Kind
    embeddings: Tensor
    ids: Sequence[str]
    texts: Sequence[str]
    files: Sequence[str]
    splits: Sequence[str]
    table: Table | None = None
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    items: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    fingerprint: str = ""
    left_out: int = 0
    candidates: Candidates | None = None

    def __len__(self) -> int:
        return len(self.ids)


def rows_of(table: Table, of: Kind, split: str | None, missing: Sequence[str] = ()) -> np.ndarray:
    """(G,) rows of a table's items or texts, in its order.

    Args:
        split: of the table; None takes all.
        missing: ids of items that have no features, and are left out.

    Raises:
        RefusedError: rows of test are among them while something trains in this process.
        UsageError: no such split, nothing in it, or texts that are no captions.
    """
    if split is not None:
        table.refuse_unknown_split(split)
    if of == "texts" and table.queries is not None:
        raise UsageError(f"{table.path} holds composed queries, whose texts describe no image; search its images")
    refuse_test_rows(table, split)
    inside = np.ones(len(table.items), bool) if split is None else pc.equal(table.items["split"], split).to_numpy()
    if missing:
        inside = inside & ~pc.is_in(table.items["id"], pa.array(missing)).to_numpy()
    rows = np.flatnonzero(inside if of == "images" else inside[table.texts["item"].to_numpy()])
    if not len(rows):
        raise UsageError(f"{table.path} has no {of} to search" + (f" in its split {split}" if split else ""))
    return rows


def refuse_test_rows(table: Table, split: str | None) -> None:
    """Raises RefusedError if a split, or a whole table, has rows of test while something trains in this process."""
    for name in table.splits if split is None else (split,):
        refuse_test(name, allow_test=True)


def gallery_of_table(
    table: Table,
    of: Kind,
    rows: np.ndarray,
    embeddings: Tensor,
    left_out: int = 0,
    candidates: Candidates | None = None,
) -> Gallery:
    """The gallery of these rows of a table.

    Args:
        rows: (G,) as `rows_of` gives them.
        embeddings: (G, ...) of these rows.
        left_out, candidates: as in Gallery.
    """
    owner = table.texts["item"].to_numpy()
    items = rows if of == "images" else owner[rows]
    if of == "texts":
        ids, texts = (table.texts[name].take(pa.array(rows)).to_pylist() for name in ("id", "text"))
    else:
        ids = table.items["id"].take(pa.array(rows)).to_pylist()
        texts = _first_captions(table, owner, rows)
    files, splits = (table.items[name].take(pa.array(items)).to_pylist() for name in ("file", "split"))
    return Gallery(
        of, embeddings, ids, texts, files, splits, table, rows, items, table.fingerprint, left_out, candidates
    )


def gallery_of(of: Kind, names: Sequence[str], embeddings: Tensor) -> Gallery:
    """The gallery of images or texts that a caller gave.

    Args:
        names: the texts themselves, or a name for each image.
        embeddings: (G, ...) of them.
    """
    nothing = [""] * len(names)
    if of == "texts":
        return Gallery(of, embeddings, [str(place) for place in range(len(names))], names, nothing, nothing)
    return Gallery(of, embeddings, names, nothing, nothing, nothing)


def _first_captions(table: Table, owner: np.ndarray, items: np.ndarray) -> list[str]:
    """The first caption of each item; "" where it has none, and in a table of composed queries."""
    if table.queries is not None or not len(owner):
        return [""] * len(items)
    first = np.searchsorted(owner, items)
    has = owner[np.minimum(first, len(owner) - 1)] == items
    captions = table.texts["text"].take(pa.array(np.where(has, np.minimum(first, len(owner) - 1), 0))).to_pylist()
    return [caption if there else "" for caption, there in zip(captions, has.tolist(), strict=True)]
