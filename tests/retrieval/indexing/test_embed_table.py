"""What an embedding of a table keeps, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytrain.data.encode.jobs import Done, Work, in_process
from raytrain.data.table import Table
from raytrain.errors import DataError, NonFiniteError
from raytrain.retrieval import Retriever
from raytrain.retrieval.index.store import StoredIndex, stored_index
from raytrain.retrieval.indexing.embed_table import Target, _entries, _kept, embed_table
from tests.retrieval.indexing import changing


class Infinite:
    """A job whose embeddings are not finite."""

    def open(self) -> None: ...

    def prepare(self, work: Work) -> None: ...

    def encode(self, work: Work, prepared: object) -> Done:
        return Done(work.rows, np.full((len(work.rows), 2, 8), np.inf, np.float32))


def target(table: Path, retriever: Retriever, folder: Path, before: StoredIndex | None = None) -> Target:
    folder.mkdir(exist_ok=True)
    return Target(folder, str(folder), retriever, retriever.table_rows(Table(table)), "images", None, before)


def test_entries_are_kept_by_id_and_content(
    retriever: Retriever, indexed: Path, table: Path, later_table: Path, tmp_path: Path
) -> None:
    index = stored_index(indexed)
    assert target(table, retriever, indexed, index).is_current
    changing.becomes(table, later_table)
    wanted = target(table, retriever, indexed, index)
    assert not wanted.is_current and wanted.features.keys() == {"vit.npy"}
    entries = _entries(wanted, wanted.chosen, None)
    assert _kept(entries, index).tolist() == [0, 1, 3, 4, 6, -1, 8, 9, -1, -1, -1]
    assert _kept(entries, None).tolist() == [-1] * 11


def test_embeddings_that_are_not_finite_are_no_index(retriever: Retriever, table: Path, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="are not finite"):
        embed_table(target(table, retriever, tmp_path / "index"), Infinite(), 4, None, in_process)
    assert not list((tmp_path / "index").glob("*"))


def test_two_rows_of_one_id_are_named(retriever: Retriever, table: Path, tmp_path: Path) -> None:
    wanted = target(table, retriever, tmp_path / "index")
    with pytest.raises(DataError, match=r"two rows have the id '3\.jpg'"):
        _entries(wanted, np.array([1, 3, 3]), None)
