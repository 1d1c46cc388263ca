"""`raytrain search`: what it returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raytrain.data.table import Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.errors import DataError, UsageError
from raytrain.retrieval.indexing.index_run import index_run
from raytrain.retrieval.search import search_run


def test_an_answer_names_each_result_and_opens_no_test(run: Path) -> None:
    answer = search_run(run, "a dog", k=2, device="cpu")
    assert (answer["gallery"], answer["of"], answer["reranked"], answer["notes"]) == (16, "images", False, [])
    assert [result["rank"] for result in answer["results"]] == [1, 2]
    assert all(Path(result["path"]).is_file() for result in answer["results"])
    assert not (Path(answer["table"]) / OPENINGS).exists()


def test_a_wrong_query_is_told_before_a_model_is_loaded(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        search_run(run, image=tmp_path / "none.jpg")
    with pytest.raises(UsageError, match="nothing to search by"):
        search_run(run)
    with pytest.raises(UsageError, match="give one of them"):
        search_run(run, image="a.jpg", item="b")


def test_an_index_is_searched_in_place_of_the_table(run: Path, tmp_path: Path) -> None:
    index_run(run, None, tmp_path / "index", of="texts", device="cpu", progress=None)
    expected = search_run(run, item="3.jpg", of="texts", device="cpu")
    answer = search_run(run, item="3.jpg", index=tmp_path / "index", device="cpu", html=tmp_path / "page.html")
    assert [result["id"] for result in answer["results"]] == [result["id"] for result in expected["results"]]
    assert (answer["of"], answer["index"]) == ("texts", str(tmp_path / "index"))
    assert answer["certainty"]["text"] == "exact: all 32 were compared"
    with pytest.raises(UsageError, match="leave --split out"):
        search_run(run, item="3.jpg", index=tmp_path / "index", split="val", device="cpu")
    with pytest.raises(UsageError, match="the index holds texts"):
        search_run(run, "a dog", index=tmp_path / "index", of="images", device="cpu")


def test_an_export_is_searched_as_its_run(run: Path, with_gallery: Path, pictures: Table, tmp_path: Path) -> None:
    """By the gallery that is stored with it, or a table that is named; its folder stays as it is."""
    files = sorted(with_gallery.rglob("*"))
    expected = search_run(run, "a dog", device="cpu")["results"]
    answers = [search_run(with_gallery, "a dog", table=table, device="cpu") for table in (None, pictures.path)]
    for answer in answers:
        assert answer["run"] == str(with_gallery)
        assert [result["id"] for result in answer["results"]] == [result["id"] for result in expected]
        scores = [result["score"] for result in expected]
        assert [result["score"] for result in answer["results"]] == pytest.approx(scores, abs=1e-5)
    assert [answer["table"] for answer in answers] == [None, str(pictures.path)]
    assert search_run(with_gallery, item="3.jpg", table=pictures.path, of="texts", device="cpu")["of"] == "texts"
    with pytest.raises(UsageError, match="stored with this model are searched whole; name a table to search its texts"):
        search_run(with_gallery, item="3.jpg", of="texts", device="cpu")
    with pytest.raises(UsageError, match="give the index a place with --out"):
        index_run(with_gallery, pictures.path, device="cpu", progress=None)
    index_run(with_gallery, pictures.path, tmp_path / "index", device="cpu", progress=None)
    for model in (with_gallery, run):  # its weights are those of the run
        answer = search_run(model, "a dog", index=tmp_path / "index", device="cpu")
        assert [result["id"] for result in answer["results"]] == [result["id"] for result in expected]
    assert sorted(with_gallery.rglob("*")) == files


def test_an_export_without_a_gallery_asks_for_a_table(
    export_of: Callable[[str], Path], pictures: Table, tmp_path: Path
) -> None:
    export = export_of("dive over words")
    with pytest.raises(UsageError, match="came without its table; name one"):
        search_run(export, "a dog", device="cpu")
    assert search_run(export, "a dog", table=pictures.path, device="cpu")["gallery"] == 16
