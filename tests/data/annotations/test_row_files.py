"""Files of rows: every format gives the same rows, and damaged files a DataError."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.data.annotations.row_files import columns_of, files_in, read_rows
from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.errors import DataError
from tests.data import own
from tests.data.damage import EDITS, edited, folder, many
from tests.data.own import json_lines, put


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_rows_of_any_form_give_the_table_of_the_csv(suffix: str, tmp_path: Path) -> None:
    expected = build("captions", own.captions(tmp_path / "csv"), tmp_path / "a").fingerprint
    root, rows = tmp_path / "root", own.rows_of_captions()
    own.put_pictures(root / "images")
    if suffix == "tsv":
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        put(root / "my.tsv", "\r\n".join(lines))
    elif suffix == "jsonl":
        put(root / "my.jsonl", "\ufeff" + json_lines(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), root / "my.parquet")
    assert build("captions", root, tmp_path / "b").fingerprint == expected


@many
@given(edits=EDITS, form=st.sampled_from(["stream", "file", "parquet"]))
def test_damaged_arrow_and_parquet_give_rows_or_a_data_error(edits: list[tuple[float, bytes]], form: str) -> None:
    rows = pa.table({"image": ["a.png", "b.png"], "text": pa.array([["x"], ["y", "z"]])})
    sink = pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(rows, sink)
    else:
        with (pa.ipc.new_file if form == "file" else pa.ipc.new_stream)(sink, rows.schema) as out:
            out.write_table(rows)
    with folder() as home:
        path = put(
            home / f"rows.{'parquet' if form == 'parquet' else 'arrow'}", edited(sink.getvalue().to_pybytes(), edits)
        )
        with contextlib.suppress(DataError):
            list(read_rows(path, Problems()))


@pytest.mark.parametrize("offset", [-1, 3, 2**30])
def test_arrow_offsets_that_lead_out_of_their_buffer_are_refused(offset: int, tmp_path: Path) -> None:
    rows = pa.table({"image": ["a.png", "bb.png"], "text": ["x", "y"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as out:
        out.write_table(rows)
    whole = np.array([0, 5, 11], np.int32).tobytes()
    damaged = np.array([0, 5, offset], np.int32).tobytes()
    data = sink.getvalue().to_pybytes()
    assert data.count(whole) == 1
    with pytest.raises(DataError, match="row 0: not readable"):
        list(read_rows(put(tmp_path / "x.arrow", data.replace(whole, damaged)), Problems()))


def rows_of(path: Path, delimiter: str = "") -> tuple[list[tuple[int, Any]], list[tuple[int | None, str]]]:
    """(rows of a file with their numbers, (row, what) of its problems)."""
    problems = Problems()
    rows = list(read_rows(path, problems, delimiter))
    return rows, [(problem.row, problem.what) for problem in problems.list()]


def test_a_row_has_the_number_of_its_first_line_and_bad_rows_are_skipped(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", 'a,b\n1,"two\nlines"\n\n3\n4,5\n')
    rows, problems = rows_of(path)
    assert rows == [(2, {"a": "1", "b": "two\nlines"}), (6, {"a": "4", "b": "5"})]
    assert problems == [(5, "1 fields, the header has 2 (separated by comma)")]


def test_a_delimiter_may_be_named_and_tsv_has_no_quoting(tmp_path: Path) -> None:
    assert rows_of(put(tmp_path / "x.csv", "a;b\n1;2\n"), ";")[0] == [(2, {"a": "1", "b": "2"})]
    assert rows_of(put(tmp_path / "x.tsv", 'a\tb\n"1\t2\n'))[0] == [(2, {"a": '"1', "b": "2"})]


@pytest.mark.parametrize(
    ("content", "what"),
    [("", "empty file"), ("a,a\n1,2\n", "expected column names, each once"), (",\n1,2\n", "expected column names")],
)
def test_a_file_without_a_header_is_refused(content: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=what):
        rows_of(put(tmp_path / "x.csv", content))


def test_lines_that_are_no_objects_or_no_utf_8_become_problems(tmp_path: Path) -> None:
    path = put(tmp_path / "x.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n[1]\n{\n{"a": "\xff"}\n{"a": "\\ud800"}\n{"a": 2}')
    rows, problems = rows_of(path)
    assert rows == [(1, {"a": 1}), (7, {"a": 2})]
    assert [row for row, _ in problems] == [3, 4, 6, 5]  # by kind
    assert [what.split(":")[0] for _, what in problems] == [
        "list, expected an object", "not JSON", "not JSON", "not UTF-8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "what"),
    [("x.pkl", "pickles are never read"), ("x.xlsx", "suffix '.xlsx' is not supported"), ("x.csv", "not found")],
)
def test_files_that_cannot_hold_rows_are_refused_by_name(name: str, what: str, tmp_path: Path) -> None:
    if name != "x.csv":
        put(tmp_path / name, "x")
    with pytest.raises(DataError, match=what):
        read_rows(tmp_path / name, Problems())


def test_files_are_those_that_are_named_or_all_with_a_suffix(tmp_path: Path) -> None:
    for name in ("b.csv", "a.CSV", "c.txt", "d.csv/x"):
        put(tmp_path / name, "x")
    assert [path.name for path in files_in(tmp_path, "", (".csv",))] == ["a.CSV", "b.csv"]
    assert [path.name for path in files_in(tmp_path, "c.txt, b.csv", (".csv",))] == ["c.txt", "b.csv"]
    with pytest.raises(DataError, match=r"no file with rows \(\.tsv\)"):
        files_in(tmp_path, "", (".tsv",))
    with pytest.raises(DataError, match="climbs out"):
        files_in(tmp_path, "../x.csv", (".csv",))
    with pytest.raises(DataError, match="not a folder"):
        files_in(tmp_path / "absent", "", (".csv",))


def test_columns_are_known_without_reading_rows_and_nothing_is_none(tmp_path: Path) -> None:
    table = pa.table({"a": [1], "b": [2]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)
    put(tmp_path / "x.csv", "a,b\n1,2\n")
    put(tmp_path / "x.jsonl", '{"a": 1, "b": 2}\n')
    for suffix in ("parquet", "arrow", "csv", "jsonl"):
        assert columns_of(tmp_path / f"x.{suffix}") == ["a", "b"]
    for name, content in (("y.parquet", "no"), ("y.arrow", "no"), ("y.csv", "a,b\n"), ("y.jsonl", ""), ("y.pkl", "x")):
        assert columns_of(put(tmp_path / name, content)) == []
