"""Whatever stands in a file, a reader gives rows or a DataError, and no path that it names leads out of the root."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raytrain.data.annotations.columns import Columns, records_of
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.row_files import read_rows
from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.data.sources.butd_tsv import lines
from raytrain.data.table import Table
from raytrain.errors import DataError
from tests.data.damage import few, folder, many
from tests.data.own import json_lines, member, picture, put, tar

PARTS = ["a", "..", ".", "/", "\\", "C:", "", "~", "0.png", "secret.png", "images", "out", "out.png", "\0", "\ud800"]
PATHS = st.lists(st.sampled_from(PARTS), max_size=5).map("/".join)


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
