"""CSV and TSV as spreadsheets, pandas and people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.data.annotations.separated import delimiter_of, has_header, separated_rows
from raytrain.data.problems import Problems
from raytrain.errors import DataError
from tests.data.own import put


def rows_of(path: Path, **options: Any) -> tuple[list[tuple[int, Any]], list[tuple[int | None, str]]]:
    problems = Problems()
    rows = list(separated_rows(path, problems, **options))
    return rows, [(problem.row, problem.what) for problem in problems.list()]


@pytest.mark.parametrize(
    ("line", "default", "delimiter"),
    [
        ("image,text", ",", ","), ("image\ttext", ",", "\t"), ("image;text", ",", ";"), ("image| text", ",", "|"),
        ("image,text", "\t", ","), ("image", ",", ","), ("1.jpg#0\ta dog , big", ",", "\t"), ("1.jpg|0|a, b", ",", "|"),
    ],
)  # fmt: skip
def test_the_delimiter_is_the_one_that_the_first_line_shows(line: str, default: str, delimiter: str) -> None:
    assert delimiter_of(line, default) == delimiter


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_rows_are_the_same_with_any_delimiter(sign: str, tmp_path: Path) -> None:
    content = f'image{sign} text \n1.png{sign}"a {sign} ""b"""\n2.png{sign}c "d" e\n'
    rows, problems = rows_of(put(tmp_path / "x.csv", content))
    assert rows == [(2, {"image": "1.png", "text": f'a {sign} "b"'}), (3, {"image": "2.png", "text": 'c "d" e'})]
    assert not problems


def test_what_spreadsheets_leave_behind_is_left_out(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", "sep=;\r\na;b;;\r\n1;2;;\r\n;;;\r\n\r\n3;4\r\n")
    assert rows_of(path) == ([(3, {"a": "1", "b": "2"}), (6, {"a": "3", "b": "4"})], [])


def test_a_field_too_many_or_too_few_is_a_problem_of_its_row(tmp_path: Path) -> None:
    rows, problems = rows_of(put(tmp_path / "x.csv", "a| b\n1| 2\n3\n4| 5| 6\n"))
    assert rows == [(2, {"a": "1", "b": " 2"})]
    what = "fields, the header has 2 (separated by pipe)"
    assert problems == [(3, f"1 {what}"), (4, f"3 {what}")]


def test_tsv_keeps_quotes_but_those_that_pandas_writes(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tsv", 'a\tb\n"1\t"2"\n"x ""y"""\tz\n')
    assert rows_of(path)[0] == [(2, {"a": '"1', "b": '"2"'}), (3, {"a": 'x "y"', "b": "z"})]


def test_without_a_header_columns_are_numbers(tmp_path: Path) -> None:
    path = put(tmp_path / "x.txt", "1.jpg#0\ta dog , big\n")
    assert rows_of(path, header=False)[0] == [(1, {"0": "1.jpg#0", "1": "a dog , big"})]
    assert not has_header(["1.JPG#0", "a dog"]) and has_header(["image", "jpg"])


def test_a_header_has_each_name_once(tmp_path: Path) -> None:
    for content in ("a,a\n1,2\n", ",\n1,2\n", "\na,b\n"):
        with pytest.raises(DataError, match=r"expected column names, each once.*header=false"):
            rows_of(put(tmp_path / "x.csv", content))


def test_a_quote_that_never_ends_names_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 3: not CSV from here on"):
        rows_of(put(tmp_path / "x.csv", 'a,b\n1,2\n3,"4\n5,6\n'))
