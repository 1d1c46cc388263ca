"""`raytrain search`: what it returns."""

from __future__ import annotations

from pathlib import Path

import pytest

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
