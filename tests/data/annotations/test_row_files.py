"""Files of rows: every format gives the same rows, and damaged files a DataError."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.data.annotations.row_files import read_rows
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
