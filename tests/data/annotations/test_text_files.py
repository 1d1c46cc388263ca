"""Text files in the encodings that people have."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations import text_files
from raytrain.data.annotations.text_files import check_encoding, encoding_of, readings, text_lines
from raytrain.data.problems import Problems
from raytrain.errors import DataError, UsageError
from tests.data.own import put

TEXT = "image,text\r\n1.png,un café\r\n"


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"), ("cp1252", "utf-8"),
    ],
)  # fmt: skip
def test_first_bytes_show_the_encoding_and_the_lines_are_the_same(encoding: str, seen: str, tmp_path: Path) -> None:
    path, problems = put(tmp_path / "x.csv", TEXT.encode(encoding)), Problems()
    assert encoding_of(path) == seen
    given = encoding if encoding == "cp1252" else ""
    assert list(text_lines(path, problems, given)) == [(1, "image,text\r\n"), (2, "1.png,un café\r\n")]
    assert not problems


def test_carriage_returns_alone_end_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", "a,b\r1,2\r")
    assert list(text_lines(path, Problems())) == [(1, "a,b\n"), (2, "1,2\n")]


def test_a_line_in_another_encoding_is_a_problem_that_names_the_option(tmp_path: Path) -> None:
    path, problems = put(tmp_path / "x.csv", b"a\n\xe9\nb\n"), Problems()
    assert list(text_lines(path, problems)) == [(1, "a\n"), (3, "b\n")]
    (problem,) = problems.list()
    assert (problem.row, problem.what, "encoding=cp1252" in problem.fix) == (2, "not UTF-8", True)


def test_utf_16_that_breaks_off_ends_the_file(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", TEXT.encode("utf-16") + b"\xff")
    with pytest.raises(DataError, match="row 3: not utf-16 from here on"):
        list(text_lines(path, Problems()))


def test_a_line_that_is_too_long_ends_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 10)
    path, problems, lines = put(tmp_path / "x.txt", "ten bytes\n" + "x" * 11), Problems(), []
    with pytest.raises(DataError, match="row 2: a line of more than 10 bytes"):
        lines += text_lines(path, problems)
    assert list(text_lines(put(path, "ten bytes\n"), problems)) == [(1, "ten bytes\n")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("un café près de l'hôtel", "cp1252"),
        ("Größe", "cp1252"),
        ("一只红色的狗在跑", "gb18030"),
    ],
)
def test_a_clear_encoding_has_one_reading(text: str, encoding: str, tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", f"image,text\n1.png,{text}\n".encode(encoding))
    assert readings(path) == {encoding: f"1.png,{text}"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("собака бежит по траве", "cp1251"), ("pes běží po trávě", "cp1250"), ("강아지가 달린다", "euc_kr")],
)
def test_another_one_is_among_the_readings_or_looks_wrong(text: str, encoding: str, tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", text.encode(encoding))
    shown = readings(path)
    assert shown.get(encoding, text) == text and shown


def test_utf_8_and_utf_16_have_no_readings(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert readings(put(tmp_path / "x.csv", TEXT.encode(encoding))) == {}


def test_an_encoding_is_a_name_that_python_knows() -> None:
    check_encoding("")
    check_encoding("cp1252")
    for name in ("cp12525", "rot13", "hex"):
        with pytest.raises(UsageError, match=f"no encoding '{name}'"):
            check_encoding(name)
