"""`raytrain search`: what it returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.table.test_guard import OPENINGS
from raytrain.errors import DataError, UsageError
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
