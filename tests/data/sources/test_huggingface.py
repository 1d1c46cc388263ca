"""Hugging Face data sets on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.data.sources.huggingface import shards
from raytrain.errors import DataError
from tests.data import own
from tests.data.own import SPLIT, picture, put, shipped


def test_rows_of_the_same_picture_are_one_image(tmp_path: Path) -> None:
    root = tmp_path / "root" / "data"
    root.mkdir(parents=True)
    images = [{"bytes": picture(n), "path": None} for n in (0, 1, 0)]
    rows = pa.table({"image": pa.array(images), "text": ["a", "b", "c"]})
    pq.write_table(rows, root / "train-00000-of-00001.parquet")
    table = build("huggingface", root.parent, tmp_path / "table")
    assert table.texts["text"].to_pylist() == ["a", "c", "b"]
    assert table.items["id"].to_pylist() == [hashlib.sha256(picture(n)).hexdigest()[:16] for n in (0, 1)]


def test_pictures_that_are_paths_are_read_below_the_root(tmp_path: Path) -> None:
    root = own.parquet(tmp_path / "root")
    path = root / "data" / "test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        put(root / "pics" / row["image"]["path"], row["image"]["bytes"])
        row["image"] = {"bytes": None, "path": f"pics/{row['image']['path']}"}
    kind = pq.read_schema(path)
    pq.write_table(pa.Table.from_pylist(rows, schema=kind), path)
    table = build("huggingface", root, tmp_path / "table")
    assert table.splits["test"] == {"items": 2, "texts": 4}
    assert [row["file"] for row in table.items.to_pylist() if row["split"] == "test"] == [shipped(6), shipped(7)]


def test_a_split_column_beats_the_name_of_the_file(tmp_path: Path) -> None:
    """As in a well-known copy of Flickr30K, where everything lies in a file called test."""
    root = tmp_path / "root"
    rows = pa.concat_tables(own.hugging_rows(split) for split in ("train", "val", "test"))
    path = put(root / "test-00000-of-00001.parquet", b"")
    pq.write_table(rows.append_column("split", pa.array(SPLIT)), path)
    table = build("huggingface", root, tmp_path / "table")
    assert {name: count["items"] for name, count in table.splits.items()} == {"train": 4, "val": 2, "test": 2}


def test_a_data_set_that_was_saved_alone_keeps_its_split(tmp_path: Path) -> None:
    root = own.saved(tmp_path / "root") / "train"
    table = build("huggingface", root, tmp_path / "table", val=0.5)
    assert table.description.source["drawn"]["from"] == 4
    state = json.loads((root / "state.json").read_text())
    put(root / "state.json", json.dumps(state | {"_split": "validation"}))
    assert build("huggingface", root, tmp_path / "b").splits == {"val": {"items": 4, "texts": 8}}
    put(root / "state.json", json.dumps(state | {"_split": "all"}))
    with pytest.raises(DataError, match=r"has no split.*val=0\.1"):
        build("huggingface", root, tmp_path / "c")


@pytest.mark.parametrize("make", [own.saved, own.parquet])
def test_the_miniature_becomes_exactly_this_table(make: Callable[[Path], Path], tmp_path: Path) -> None:
    ids, files = [str(n) for n in range(8)], [shipped(n) for n in range(8)]
    own.check_miniature("huggingface", make(tmp_path / "root"), tmp_path, ids, files)


def test_shards_that_the_names_of_others_count_are_missed(tmp_path: Path) -> None:
    names = ("train-00000-of-00003.parquet", "train-00002-of-00003-0f9a.parquet", "cache-1.arrow")
    for name in (*(f"a/{name}" for name in names), "b/train-00000-of-00001.arrow", "c.parquet"):
        put(tmp_path / name, "x")
    problems = Problems()
    files = [(path.relative_to(tmp_path).as_posix(), split) for path, split in shards(tmp_path, problems)]
    assert files == [
        ("a/train-00000-of-00003.parquet", "train"), ("a/train-00002-of-00003-0f9a.parquet", "train"),
        ("b/train-00000-of-00001.arrow", "train"), ("c.parquet", ""),
    ]  # fmt: skip
    assert [problem.what for problem in problems.list()] == ["shard train-00001-of-00003 not found"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("dataset_dict.json", '{"splits": []}', "no list of names under 'splits'"),
        ("state.json", '{"_data_files": []}', "no list under '_data_files'"),
        ("state.json", '{"_data_files": [{}], "_indices_files": [1]}', "a selection of rows"),
        ("x.txt", "", "no dataset_dict.json, state.json"),
    ],
)
def test_folders_that_are_no_data_set_are_refused(name: str, content: str, what: str, tmp_path: Path) -> None:
    put(tmp_path / name, content)
    with pytest.raises(DataError, match=what):
        shards(tmp_path, Problems())
