"""Rows of a file as records: which column holds what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.data.annotations.columns import Columns, records_of, text_columns, texts_of, unused_columns, word_of
from raytrain.data.annotations.records import Record, SourceLocation
from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.errors import DataError, UsageError
from tests.data import own
from tests.data.own import put


def test_columns_are_named_by_option_and_their_content_lands_where_it_belongs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rows = [
        {"path": "0.png", "a": "one", "b": "two", "part": "train", "key": 7, "kind": "shoe", "by": "Ann"},
        {"path": "1.png", "a": '["three", "four"]', "b": "five", "part": "dev", "key": 8, "kind": "", "by": ""},
    ]
    put(
        root / "x.csv",
        "\n".join([";".join(rows[0]), *(";".join(str(v) for v in row.values()) for row in rows)]).replace(
            '["three", "four"]', '"[""three"", ""four""]"'
        ),
    )
    own.put_pictures(root / "pics", 2)
    names = {"image": "path", "text": "a,b", "split": "part", "id": "key", "group": "kind", "attribution": "by"}
    table = build("captions", root, tmp_path / "table", images="pics", delimiter=";", **names)
    assert table.items.to_pylist() == [
        {"id": "7", "file": "0.png", "split": "train", "group": "shoe", "attribution": "Ann"},
        {"id": "8", "file": "1.png", "split": "val", "group": "", "attribution": ""},
    ]
    assert table.texts["text"].to_pylist() == ["one", "two", "three", "four", "five"]
    with pytest.raises(UsageError, match="delimiter is one character"):
        build("captions", root, tmp_path / "table", delimiter="||")


HERE = SourceLocation("made.csv", 3)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, [""]),
        ("a dog", ["a dog"]),
        ('["a dog", "a cat"]', ["a dog", "a cat"]),
        ("[a dog]", ["[a dog]"]),  # a caption in brackets
        ("[1, 2]", ["[1, 2]"]),
        ("[]", ["[]"]),
        ("['a dog', \"the cat's\"]", ["a dog", "the cat's"]),  # as pandas writes a column of lists
        ("['a dog'\n 'a [cat], \\'x\\'']", ["a dog", "a [cat], 'x'"]),  # and one of numpy arrays
        ("['a dog']", ["a dog"]),
        ("['a' and 'b']", ["['a' and 'b']"]),
        ("['\\x']", ["['\\x']"]),
        ({"raw": "a dog", "text": "x"}, ["a dog"]),
        ({"caption": "a dog"}, ["a dog"]),
        ([], [""]),
        (["a", None, {"raw": "b"}], ["a", "", "b"]),
    ],
)
def test_captions_come_as_texts_lists_json_or_objects(value: Any, texts: list[str]) -> None:
    problems = Problems()
    assert texts_of(value, "text", HERE, problems) == texts
    assert not problems


@pytest.mark.parametrize("value", [3, 1.5, True, {"x": "a"}, ["a", 3], b"a"])
def test_other_values_are_no_captions(value: Any) -> None:
    problems = Problems()
    assert texts_of(value, "text", HERE, problems) == []
    (problem,) = problems.list()
    assert (problem.row, "'text' is " in problem.what) == (3, True)


@pytest.mark.parametrize(("value", "word"), [(None, ""), (" x ", "x"), (7, "7"), (True, ""), (1.5, ""), ([], "")])
def test_a_word_is_a_text_or_a_whole_number(value: Any, word: str) -> None:
    problems = Problems()
    assert word_of(value, "id", HERE, problems) == word
    assert len(problems) == (not isinstance(value, str | int | None) or value is True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(), "no column 'text' for text; there are 'image', 'caption'"),
        (Columns(text="caption", image="path"), r"no column 'path' for image.*Name the column with image=COLUMN"),
        (Columns(text="caption", group="kind"), "no column 'kind' for group"),
        (Columns(text="caption,title"), "no column 'title' for text"),
    ],
)
def test_columns_that_are_named_must_exist(columns: Columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        columns.check({"image": "a.png", "caption": "x"}, "made.csv", 1)


def test_columns_under_their_default_names_may_be_absent() -> None:
    Columns().check({"image": "a.png", "text": "x"}, "made.csv", 1)
    Columns(image="image_id").check({"text": "x", "image_id": 1}, "made.csv", 1)


def records(rows: list[Any], embedded: bool = False) -> tuple[list[Record], list[tuple[int | None, str]]]:
    problems = Problems()
    made = list(records_of(enumerate(rows), Path("made.csv"), Columns(), problems, embedded))
    return made, [(problem.row, problem.what) for problem in problems.list()]


def test_a_row_becomes_a_record_or_a_problem() -> None:
    rows = [{"image": " a.png", "text": "x", "split": "val", "group": 3}, {"image": 1.5, "text": "y"}]
    made, problems = records(rows)
    assert made == [Record(SourceLocation("made.csv", 0), ["x"], "a.png", None, "", "val", "3", "")]
    assert problems == [(1, "'image' is float, expected an image: a path, bytes, or {bytes, path}")]


def test_images_inside_rows_need_a_source_that_takes_them() -> None:
    rows = [{"image": {"bytes": b"x", "path": "a.png"}, "text": "x"}, {"image": b"y", "text": "y"}]
    assert records(rows) == (
        [],
        [(0, "column 'image' holds images, not paths"), (1, "column 'image' holds images, not paths")],
    )
    made, problems = records(rows, embedded=True)
    assert ([(record.file, record.data) for record in made], problems) == ([("a.png", b"x"), ("", b"y")], [])


def test_a_file_without_rows_is_a_problem() -> None:
    assert records([]) == ([], [(None, "no rows")])


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (["image", "caption_0", "caption_1", "caption_10"], ["caption_0", "caption_1", "caption_10"]),
        (["Caption 1", "Caption 2", "split"], ["Caption 1", "Caption 2"]),
        (["caption", "caption_1", "title"], ["caption", "caption_1"]),
        (["text", "caption"], ["text"]),
        (["comment_number", "comment"], ["comment"]),
        (["image", "x"], []),
    ],
)
def test_a_series_of_columns_is_taken_as_a_whole(columns: list[str], texts: list[str]) -> None:
    assert text_columns(columns) == texts


def test_columns_that_are_not_read_are_listed() -> None:
    columns = Columns(text="caption_0,caption_1", group="kind")
    assert unused_columns(["image", "caption_0", "caption_1", "caption_2", "kind", "split", "nr"], columns) == [
        "caption_2",
        "nr",
    ]


@pytest.mark.parametrize(("sign", "word"), [("\t", "tab"), (";", "semicolon"), ("|", "pipe")])
def test_one_column_with_a_delimiter_in_its_name_names_the_option(sign: str, word: str) -> None:
    with pytest.raises(DataError, match=f"separated by {word}: build with delimiter={word}"):
        Columns().check({f"image{sign}text": "x"}, "made.csv", 1)
