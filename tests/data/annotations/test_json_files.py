"""JSON annotation files, and checks of their entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.annotations.json_files import read_json, strings_of, text_of
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.errors import DataError
from tests.data.own import put


def test_json_of_any_depth_is_refused_and_never_overflows(tmp_path: Path) -> None:
    for content in ("[" * 10**6, '{"a":' * 10**5, json.dumps({"a": "\ud800"}), '{"a": ' + "9" * 10**5 + "}"):
        with pytest.raises(DataError):
            read_json(put(tmp_path / "x.json", content), dict, "fix")


@pytest.mark.parametrize(
    ("content", "row", "what"),
    [
        (b'{"a":\n\n x}', 3, "not JSON"),
        (b"\xfd\xfe", None, "not readable"),
        (b"[1]", None, "holds list, expected a dict with entries"),
        (b"{}", None, "holds nothing, expected a dict with entries"),
        (b"null", None, "holds nothing"),
    ],
)
def test_a_file_of_another_content_is_named_with_the_line_and_the_advice(
    content: bytes, row: int | None, what: str, tmp_path: Path
) -> None:
    path = put(tmp_path / "x.json", content)
    with pytest.raises(DataError) as caught:
        read_json(path, dict, "Get it again.")
    (problem,) = caught.value.problems
    assert (problem.file, problem.row, problem.fix) == (str(path), row, "Get it again.")
    assert problem.what.startswith(what)


def test_a_file_that_is_absent_or_a_pickle_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.json: not found\. Put it there\."):
        read_json(tmp_path / "x.json", dict, "Put it there.")
    with pytest.raises(DataError, match="pickles are never read"):
        read_json(put(tmp_path / "x.pkl", "{}"), dict, "fix")


def test_a_byte_sequence_that_looks_like_an_escape_of_half_a_pair_may_be_a_whole_one(tmp_path: Path) -> None:
    assert read_json(put(tmp_path / "x.json", '{"a": "\\ud83d\\ude00"}'), dict, "fix") == {"a": "\U0001f600"}


HERE = SourceLocation("made.json", 4)


@pytest.mark.parametrize(
    ("entry", "text", "what"),
    [
        ({"caption": " a  dog\n"}, "a dog", None),
        ({"caption": " \t"}, "", "no text under 'caption'"),
        ({"caption": 3}, "", "no text under 'caption'"),
        ({}, "", "no text under 'caption'"),
        (["caption"], "", "entry is not an object"),
    ],
)
def test_a_text_is_stripped_or_a_problem_of_its_entry(entry: Any, text: str, what: str | None) -> None:
    problems = Problems()
    assert text_of(entry, "caption", HERE, problems) == text
    assert [(problem.row, problem.what) for problem in problems.list()] == ([] if what is None else [(4, what)])


@pytest.mark.parametrize("value", [[], "ab", ["a", 1], None, {"a": "b"}])
def test_only_a_list_of_strings_is_one(value: Any) -> None:
    problems = Problems()
    assert strings_of({"targets": value}, "targets", HERE, problems) == []
    assert [problem.what for problem in problems.list()] == ["no list of strings under 'targets'"]
    assert strings_of({"targets": ["a", ""]}, "targets", HERE, problems) == ["a", ""]
