"""Whatever stands in a file, a reader gives rows or a DataError, and no path that it names leads out of the root."""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raytrain.data.annotations.columns import Columns, records_of
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.row_files import read_rows
from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.data.sources.butd_tsv import lines
from raytrain.data.sources.webdataset import samples
from raytrain.data.table import Table
from raytrain.errors import DataError
from tests.data.own import json_lines, member, picture, put, sample, tar

PARTS = ["a", "..", ".", "/", "\\", "C:", "", "~", "0.png", "secret.png", "images", "out", "out.png", "\0", "\ud800"]
PATHS = st.lists(st.sampled_from(PARTS), max_size=5).map("/".join)
few = settings(max_examples=15, deadline=None)
many = settings(max_examples=50, deadline=None)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder for one example; fixtures are not made anew for each."""
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


def listing(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def rows_of(source: str, root: Path, path: str) -> None:
    """One good image, and one that the drawn path names."""
    plain = path.encode("utf-8", "replace").decode()
    if source == "captions":
        rows = [{"image": name, "text": "x", "split": "train"} for name in ("0.png", path)]
        put(root / "rows.jsonl", json_lines(rows))
    elif source == "imagefolder":
        rows = [{"file_name": name, "text": "x", "split": "train"} for name in ("0.png", path)]
        put(root / "images" / "metadata.jsonl", json_lines(rows))
    elif source == "composed":
        rows = [{"reference": "0.png", "text": "x", "split": "train", "target": path, "subset": [path]}]
        put(root / "rows.jsonl", json_lines(rows))
    elif source == "huggingface":
        images = pa.array([{"bytes": None, "path": name} for name in ("images/0.png", plain)])
        file = put(root / "train-00000-of-00001.parquet", b"")
        pq.write_table(pa.table({"image": images, "text": ["x", "y"]}), file)
    else:
        good = [member("train.png", picture(3)), member("train.txt", b"x")]
        tar(
            root / "train.tar",
            [
                *good,
                member(plain.replace("\0", "") + ".png", picture(4)),
                member(plain.replace("\0", "") + ".txt", b"y"),
            ],
        )


@pytest.mark.parametrize("source", ["captions", "imagefolder", "composed", "huggingface", "webdataset"])
@few
@given(path=PATHS)
@example(path="../secret.png")
@example(path="out/secret.png")
@example(path="images/out.png")
@example(path="out.png")
@example(path="a/0.png")
def test_whatever_a_row_or_member_names_nothing_outside_is_read_or_written(source: str, path: str) -> None:
    with folder() as home:
        root = home / "root"
        put(root / "images" / "0.png", picture(0))
        put(root / "images" / "a" / "0.png", picture(1))
        secret = put(home / "secret.png", picture(2))
        (root / "images" / "out.png").symlink_to(secret)
        (root / "images" / "out").symlink_to(home)
        (root / "out").symlink_to(home)
        rows_of(source, root, path)
        before = listing(home)
        with contextlib.suppress(DataError):
            table = build(source, root, home / "tables" / "t", allow_missing=0.5)
            base = table.image_root.resolve()
            for file in table.items["file"].to_pylist():
                assert (base / file).resolve().is_relative_to(base)
                assert (base / file).read_bytes() != picture(2)
        shutil.rmtree(home / "tables", ignore_errors=True)
        assert listing(home) == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["image", "text", "split", "image_id", "group", "reference", "target", "targets", "texts", "subset", "id"]
ROWS = st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(["train", "0.png", "x"]), max_size=8)


@many
@given(rows=st.lists(ROWS | JSON, max_size=4))
def test_rows_of_any_shape_give_records_or_problems(rows: list[Any]) -> None:
    with folder() as home:
        path = put(home / "rows.jsonl", json_lines(rows))
        problems = Problems()
        with contextlib.suppress(DataError):
            for record in records_of(read_rows(path, problems), path, Columns(), problems, embedded=True):
                assert all(isinstance(text, str) for text in record.texts)
        for problem in problems.list():
            assert problem.file == str(path)


@pytest.mark.parametrize("source", ["captions", "composed"])
@few
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_rows_of_any_shape_give_a_table_or_a_data_error(source: str, rows: list[Any]) -> None:
    with folder() as home:
        put(home / "root" / "images" / "0.png", picture(0))
        put(home / "root" / "rows.jsonl", json_lines(rows))
        with contextlib.suppress(DataError):
            assert isinstance(build(source, home / "root", home / "table", allow_missing=1.0), Table)
        assert {path.name for path in home.iterdir()} <= {"root", "table"}


@many
@given(content=st.binary(max_size=200), suffix=st.sampled_from(["csv", "tsv", "jsonl", "parquet", "arrow", "json"]))
def test_bytes_of_any_kind_give_rows_or_a_data_error(content: bytes, suffix: str) -> None:
    with folder() as home:
        path = put(home / f"rows.{suffix}", content)
        with contextlib.suppress(DataError):
            if suffix == "json":
                read_json(path, dict, "fix")
            else:
                list(read_rows(path, Problems()))
        if suffix == "tsv":
            with contextlib.suppress(DataError):
                assert all(line.boxes > 0 and line.width() >= 0 for line in lines(path, Problems()))


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4
)


def edited(data: bytes, edits: list[tuple[float, bytes]]) -> bytes:
    changed = bytearray(data)
    for place, content in edits:
        start = int(place * len(changed))
        changed[start : start + len(content)] = content
    return bytes(changed)


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


def archive(*members: tuple[Any, bytes]) -> bytes:
    with folder() as home:
        return tar(home / "a.tar", members).read_bytes()


def signed(header: bytes) -> bytes:
    """A tar header with the right checksum."""
    empty = header[:148] + b" " * 8 + header[156:512]
    return header[:148] + b"%06o\0 " % sum(empty) + header[156:512]


def read_shard(data: bytes) -> list[str]:
    """Keys of the samples that came before a DataError, or of all."""
    keys: list[str] = []
    with folder() as home, contextlib.suppress(DataError):
        keys += (sample_read.key for sample_read in samples(put(home / "a.tar", data), Problems(), Counter()))
    return keys


@many
@given(content=st.binary(max_size=1500))
def test_bytes_of_any_kind_are_no_shard(content: bytes) -> None:
    assert read_shard(content) == []


@many
@given(edits=EDITS)
def test_damaged_shards_give_samples_or_a_data_error(edits: list[tuple[float, bytes]]) -> None:
    read_shard(edited(archive(*sample(0), *sample(1)), edits))


FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "size": (124, 12),
    "type": (156, 1),
    "link": (157, 100),
    "prefix": (345, 155),
}


@many
@given(
    field=st.sampled_from(sorted(FIELDS)),
    content=st.binary(max_size=12)
    | st.sampled_from([b"\xff" * 12, b"77777777777\0", b"x", b"g", b"S", b"L", b"K", b"5", b"1"]),
    pax=st.binary(max_size=40)
    | st.sampled_from([b"13 size=-512\n", b"20 size=99999999999\n", b"9 path=\n", b"99 path=x\n"]),
)
def test_headers_that_lie_under_a_right_checksum_give_samples_or_a_data_error(
    field: str, content: bytes, pax: bytes
) -> None:
    data = archive(*sample(0), member("x.txt", pax), *sample(1))
    start = data.index(b"x.txt")
    offset, size = FIELDS[field]
    header = bytearray(data[start : start + 512])
    header[offset : offset + min(size, len(content))] = content[:size]
    read_shard(data[:start] + signed(bytes(header)) + data[start + 512 :])


def test_a_negative_size_does_not_lead_round_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.data.sources.webdataset.MAX_MEMBERS", 100)
    pax = tarfile.TarInfo("x")
    pax.type, content = tarfile.XHDTYPE, b"14 size=-1536\n"  # back to this very header
    pax.size = len(content)
    header = pax.tobuf(tarfile.USTAR_FORMAT)
    first = archive(member("0000.txt", b"x"))[:1024]
    data = first + signed(header[:512]) + content.ljust(512, b"\0") + archive(*sample(0))
    with pytest.raises(DataError, match="ends before it begins"):
        list(samples(put(tmp_path / "a.tar", data), Problems(), Counter()))


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


def test_a_member_of_a_thousand_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("0.png")
    info.size = 10**12
    path = put(tmp_path / "a.tar", info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    problems = Problems()
    with pytest.raises(DataError):
        list(samples(path, problems, Counter()))
    assert [problem.what for problem in problems.list()] == [
        "member '0.png': 1,000,000,000,000 bytes, at most 268,435,456 allowed"
    ]


def test_a_shard_of_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.data.sources.webdataset.MAX_MEMBERS", 3)
    path = tar(tmp_path / "a.tar", [*sample(0), *sample(1)])
    with pytest.raises(DataError, match="row 3: more than 3 members"):
        list(samples(path, Problems(), Counter()))


def test_json_of_any_depth_is_refused_and_never_overflows(tmp_path: Path) -> None:
    for content in ("[" * 10**6, '{"a":' * 10**5, json.dumps({"a": "\ud800"}), '{"a": ' + "9" * 10**5 + "}"):
        with pytest.raises(DataError):
            read_json(put(tmp_path / "x.json", content), dict, "fix")
