"""Rows of JSON in every form that people write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.annotations.json_rows import json_rows
from raytrain.data.problems import Problems
from raytrain.errors import DataError
from tests.data.own import json_lines, put

ROWS: list[dict[str, Any]] = [{"image": "1.png", "text": ["a", "b"]}, {"image": "2.png", "text": ["c"]}]
BY_NAME = {row["image"]: row["text"] for row in ROWS}


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (json_lines(ROWS), 1),
        (json.dumps(ROWS), 0),
        (json.dumps(ROWS, indent=1), 0),
        (json.dumps(BY_NAME, indent=1), 0),
        (json.dumps({"info": {"year": 2020}, "data": ROWS}), 0),
    ],
    ids=["lines", "array", "indented", "names", "inner array"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_content_decides_how_a_json_is_read(content: str, first: int, encoding: str, tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", content.encode(encoding))
    assert list(json_rows(path, Problems())) == list(enumerate(ROWS, first))


@pytest.mark.parametrize(
    "content",
    [
        {"image": {"0": "1.png", "1": "2.png"}, "caption": {"0": "a dog", "1": None}},
        {"image": {"3": "1.png", "7": "2.png"}, "caption": {"3": "a dog"}},
        {"0": {"image": "1.png", "caption": "a dog"}, "1": {"image": "2.png", "caption": None}},
        {"columns": ["image", "caption"], "index": [0, 1], "data": [["1.png", "a dog"], ["2.png", None]]},
        {
            "schema": {"fields": [{"name": "index", "type": "integer"}]},
            "data": [{"image": "1.png", "caption": "a dog"}, {"image": "2.png", "caption": None}],
        },
    ],
    ids=["columns", "columns with a gap", "index", "split", "table"],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_what_pandas_writes_is_read_whichever_its_orient_was(
    content: dict[str, Any], indent: int | None, tmp_path: Path
) -> None:
    path = put(tmp_path / "x.json", json.dumps(content, indent=indent))
    rows = [{"image": "1.png", "caption": "a dog"}, {"image": "2.png", "caption": None}]
    assert list(json_rows(path, Problems())) == list(enumerate(rows))


def test_a_jsonl_may_be_an_array_or_have_arrays_among_its_lines(tmp_path: Path) -> None:
    assert [row for _, row in json_rows(put(tmp_path / "x.jsonl", json.dumps(ROWS)), Problems())] == ROWS
    problems = Problems()
    assert list(json_rows(put(tmp_path / "y.jsonl", '[1]\n{"a": 1}\n'), problems)) == [(2, {"a": 1})]
    assert [(problem.row, problem.what) for problem in problems.list()] == [(1, "list, expected an object")]


def test_entries_that_are_no_objects_are_problems(tmp_path: Path) -> None:
    problems = Problems()
    assert list(json_rows(put(tmp_path / "x.json", '[{"a": 1}, 3]'), problems)) == [(0, {"a": 1})]
    assert [(problem.row, problem.what) for problem in problems.list()] == [(1, "int, expected an object")]


@pytest.mark.parametrize("content", ['{"images": [{"id": 1}], "annotations": []}', "3", "", "{", "[" * 10**5])
def test_other_json_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        list(json_rows(put(tmp_path / "x.json", content), Problems()))


@pytest.mark.parametrize(
    ("whole", "source"),
    [
        ({"images": [{"id": 1}], "annotations": [{"image_id": 1}]}, "coco"),
        ({"images": [{"filename": "1.png", "sentences": []}]}, "karpathy"),
    ],
)
def test_forms_with_sources_of_their_own_name_them(whole: Any, source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"build with the source {source}"):
        list(json_rows(put(tmp_path / "x.json", json.dumps(whole)), Problems()))
