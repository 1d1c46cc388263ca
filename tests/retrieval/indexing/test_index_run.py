"""An index holds what embedding the table gives, follows the table, and refuses what it was not made of."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.encode.jobs import Done, Job, Work, in_process
from raytrain.errors import RefusedError, UsageError
from raytrain.files import locked
from raytrain.retrieval import Retriever
from raytrain.retrieval.indexing.index_run import index_run
from tests.retrieval.indexing import changing
from tests.retrieval.indexing.conftest import QUIET


class Stop(Exception):
    """What a test throws in place of a kill."""


class Counting:
    """The mapper of one process that counts the rows that it embeds, and stops before a batch."""

    def __init__(self, stop_before: int = 1000) -> None:
        self.stop_before, self.rows = stop_before, list[int]()

    def __call__(self, job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        for batch, done in enumerate(in_process(job, shards)):
            if batch == self.stop_before:
                raise Stop
            self.rows += done.rows.tolist()
            yield done


def content(folder: Path) -> dict[str, bytes]:
    """The files of an index, without locks and notes of what was verified."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name[0] != "." and ".verified" not in path.parts
    }


def test_an_index_holds_what_the_gallery_of_its_table_holds(retriever: Retriever, run: Path, tmp_path: Path) -> None:
    for of in ("images", "texts"):
        made = index_run(run, None, tmp_path / of, of=of, **QUIET)  # type: ignore[arg-type]
        index, gallery = retriever.open_index(tmp_path / of), retriever.gallery(of=of)  # type: ignore[arg-type]
        assert (made["index"], made["items"], made["embedded"]) == (str(tmp_path / of), len(gallery), len(gallery))
        assert (
            made["bytes"]
            == sum(map(len, content(tmp_path / of).values())) - (tmp_path / of / "index.json").stat().st_size
        )
        assert (
            index.ids == gallery.ids and index.texts == gallery.texts and index.rows.tolist() == gallery.rows.tolist()
        )
        torch.testing.assert_close(index.embeddings, gallery.embeddings, atol=1e-6, rtol=0)
    found, expected = (
        retriever.search("a dog", gallery=retriever.open_index(tmp_path / "images")),
        retriever.search("a dog"),
    )
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-6)


def test_an_index_is_in_its_run_if_no_folder_is_named(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    assert index_run(copy, split="val", **QUIET)["index"] == str(copy / "indexes" / "table-val-images")


@pytest.mark.parametrize("stop_before", [0, 1, 2])
def test_an_interrupted_index_goes_on_to_the_same_bytes(
    stop_before: int, run: Path, indexed: Path, table: Path, tmp_path: Path
) -> None:
    stopped = Counting(stop_before)
    with pytest.raises(Stop):
        index_run(run, table, tmp_path / "other", map_batches=stopped, **QUIET)
    assert not (tmp_path / "other" / "index.json").exists()
    goes_on = Counting()
    index_run(run, table, tmp_path / "other", map_batches=goes_on, **QUIET)
    assert content(tmp_path / "other") == content(indexed)
    assert sorted(set(stopped.rows + goes_on.rows)) == list(range(10)) and len(goes_on.rows) == 10 - 4 * stop_before


def test_a_kill_before_index_json_costs_nothing(
    run: Path, indexed: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*given: Any) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("raytrain.retrieval.indexing.index_run.publish", killed)
        with pytest.raises(Stop):
            index_run(run, table, tmp_path / "other", **QUIET)
    counting = Counting()
    index_run(run, table, tmp_path / "other", map_batches=counting, **QUIET)
    assert counting.rows == [] and content(tmp_path / "other") == content(indexed)


def test_an_index_follows_its_table(
    run: Path, retriever: Retriever, indexed: Path, table: Path, later_table: Path
) -> None:
    before = content(indexed)
    assert index_run(run, table, indexed, **QUIET)["embedded"] == 0 and content(indexed) == before
    opened = retriever.open_index(indexed)
    changing.becomes(table, later_table)
    with pytest.raises(RefusedError, match=r"it changed since\. Bring the index up to date with `raytrain index"):
        retriever.open_index(indexed)
    counting = Counting()
    made = index_run(run, table, indexed, map_batches=counting, **QUIET)
    assert (made["kept"], made["embedded"], made["removed"]) == (7, 4, 3)  # 7 holds another picture
    assert counting.rows == [5, 8, 9, 10]
    index, gallery = retriever.open_index(indexed), retriever.gallery(table)
    assert index.ids == gallery.ids == [f"{n}.jpg" for n in (0, 1, 3, 4, 6, 7, 8, 9, 10, 11, 12)]
    torch.testing.assert_close(index.embeddings, gallery.embeddings, atol=1e-5, rtol=0)
    assert len(list(indexed.glob("embeddings-*"))) == len(list(indexed.glob("entries-*"))) == 1
    assert opened.ids[2] == "2.jpg" and bool(opened.embeddings.isfinite().all())  # what was open stays open


def test_an_update_that_is_interrupted_leaves_the_index_as_it_was(
    run: Path, indexed: Path, table: Path, first_table: Path, later_table: Path, retriever: Retriever
) -> None:
    before = content(indexed)
    changing.becomes(table, later_table)
    with pytest.raises(Stop):
        index_run(run, table, indexed, map_batches=Counting(1), **QUIET)
    assert {name: data for name, data in content(indexed).items() if not name.startswith("encoding")} == before
    changing.becomes(table, first_table)
    assert len(retriever.open_index(indexed)) == 10
    changing.becomes(table, later_table)
    counting = Counting()
    assert index_run(run, table, indexed, map_batches=counting, **QUIET)["items"] == 11
    assert counting.rows == [8, 9, 10]  # the shard with picture 7 was complete


def test_another_model_other_rows_and_changed_files_are_refused(
    run: Path, composed_run: Path, composed_retriever: Retriever, retriever: Retriever, indexed: Path, table: Path
) -> None:
    with pytest.raises(RefusedError, match="embeddings of another model"):
        composed_retriever.open_index(indexed)
    with pytest.raises(RefusedError, match="embeddings of another model"):
        index_run(composed_run, None, indexed, **QUIET)
    with pytest.raises(RefusedError, match="holds an index of images of all splits, not of texts of all splits"):
        index_run(run, table, indexed, of="texts", **QUIET)
    with locked(indexed / ".lock"), pytest.raises(RefusedError, match="another process is writing the index"):
        index_run(run, table, indexed, **QUIET)
    with pytest.raises(UsageError, match="holds no index"):
        retriever.open_index(table)


def test_candidates_come_and_go_without_embedding_anew(
    run: Path, indexed: Path, table: Path, later_table: Path, retriever: Retriever
) -> None:
    pytest.importorskip("faiss", reason="candidates need faiss-cpu")
    counting = Counting()
    made = index_run(run, table, indexed, faiss="sq8", map_batches=counting, **QUIET)
    assert made["faiss"] == "sq8" and counting.rows == []
    assert made["measured"] == {"asked_by": "captions", "queries": 20, "k": 10, "proved": 20, "recall": None}
    hits = retriever.search("a dog", k=3, gallery=retriever.open_index(indexed))
    assert hits.certainty.kind == "proved"
    expected = retriever.search("a dog", k=3, gallery=retriever.gallery(table))
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    changing.becomes(table, later_table)
    assert index_run(run, table, indexed, **QUIET)["faiss"] == "sq8"  # an update keeps them
    assert retriever.search("a dog", k=3, gallery=retriever.open_index(indexed)).certainty.kind == "proved"
    assert index_run(run, table, indexed, faiss="none", **QUIET)["faiss"] is None
    assert not list(indexed.glob("*.faiss"))


def test_captions_of_local_features_are_not_indexed(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("raytrain.methods.dvse.DVSE.local_features", True)
    with pytest.raises(UsageError, match="index its images"):
        index_run(run, None, tmp_path / "index", of="texts", **QUIET)
