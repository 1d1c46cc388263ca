"""Ids that are removed from an index are never answered, certificates hold, and updates do not bring them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from raytrain.errors import DataError, UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.indexing.index_run import index_run
from raytrain.retrieval.indexing.removal import read_ids
from raytrain.retrieval.query_images import Item
from tests.retrieval.indexing import changing
from tests.retrieval.indexing.conftest import QUIET
from tests.retrieval.indexing.test_index_run import Counting


@pytest.mark.parametrize("faiss", [None, "sq8"])
def test_a_removed_id_is_never_answered(
    faiss: str | None, run: Path, retriever: Retriever, indexed: Path, table: Path, later_table: Path, tmp_path: Path
) -> None:
    if faiss is not None:
        pytest.importorskip("faiss", reason="candidates need faiss-cpu")
        index_run(run, table, indexed, faiss=faiss, **QUIET)  # type: ignore[arg-type]
    ids = tmp_path / "ids.txt"
    ids.write_text("3.jpg\n\n9.jpg \n")
    before = retriever.open_index(indexed)
    counting = Counting()
    made = index_run(run, table, indexed, remove_ids=ids, map_batches=counting, **QUIET)
    assert (made["items"], made["kept"], made["embedded"], made["removed"], made["kept_out"]) == (8, 8, 0, 2, 2)
    assert counting.rows == []
    index = retriever.open_index(indexed)
    rest = [0, 1, 2, 4, 5, 6, 7, 8]
    assert index.ids == [f"{n}.jpg" for n in rest]
    torch.testing.assert_close(index.embeddings, before.embeddings[rest], rtol=0, atol=0)
    assert len(list(indexed.glob("embeddings-*"))) == 1  # vectors that were removed are on no disk
    everything = retriever.gallery(table)
    for query in ({"text": "a dog"}, {"image": Item("3.jpg")}, {"image": Item("4.jpg")}):
        hits = retriever.search(**query, k=10, gallery=index)  # type: ignore[arg-type]
        expected = [hit.id for hit in retriever.search(**query, k=10, gallery=everything)]  # type: ignore[arg-type]
        assert [hit.id for hit in hits] == [name for name in expected if name not in ("3.jpg", "9.jpg")]
        assert hits.certainty.kind == ("scored" if faiss is None else "proved")
    changing.becomes(table, later_table)  # which has both again, and three others
    assert index_run(run, table, indexed, **QUIET)["kept_out"] == 2
    assert retriever.open_index(indexed).ids == [f"{n}.jpg" for n in (0, 1, 4, 6, 7, 8, 10, 11, 12)]


def test_a_removal_that_is_wrong_changes_nothing(run: Path, indexed: Path, table: Path, tmp_path: Path) -> None:
    before, ids = (indexed / "index.json").read_text(), tmp_path / "ids.txt"
    ids.write_text("3.jpg\n33.jpg\n")
    with pytest.raises(DataError, match=r"ids\.txt.*2.*has the id '33\.jpg'"):
        index_run(run, table, indexed, remove_ids=ids, **QUIET)
    ids.write_text("".join(f"{n}.jpg\n" for n in range(10)))
    with pytest.raises(UsageError, match="names all that is left"):
        index_run(run, table, indexed, remove_ids=ids, **QUIET)
    assert (indexed / "index.json").read_text() == before
    ids.write_text("3.jpg\n")
    for removed in (1, 0):  # again is no error
        assert index_run(run, table, indexed, remove_ids=ids, **QUIET)["removed"] == removed


def test_an_index_of_a_version_without_removals_opens(
    run: Path, retriever: Retriever, indexed: Path, table: Path
) -> None:
    values = json.loads((indexed / "index.json").read_text())
    assert values.pop("kept_out") == []
    (indexed / "index.json").write_text(json.dumps(values))
    assert len(retriever.open_index(indexed)) == 10
    assert index_run(run, table, indexed, **QUIET)["embedded"] == 0


def test_a_file_without_ids_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"\n  \n")
    with pytest.raises(UsageError, match="names no id"):
        read_ids(tmp_path / "ids")
    (tmp_path / "ids").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_ids(tmp_path / "ids")
    with pytest.raises(DataError, match="not readable"):
        read_ids(tmp_path / "none")
