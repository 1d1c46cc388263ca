"""Image folders with metadata files."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.sources.imagefolder import metadata
from raytrain.errors import DataError, UsageError
from tests.data import own
from tests.data.own import SPLIT, json_lines, picture, put


def test_the_miniature_becomes_exactly_this_table(tmp_path: Path) -> None:
    paths = [f"{ {'val': 'validation'}.get(SPLIT[n], SPLIT[n]) }/inner/{n}.png" for n in range(8)]
    own.check_miniature("imagefolder", own.imagefolder(tmp_path / "root"), tmp_path, paths, paths)


def test_one_metadata_file_at_the_root_names_images_in_folders_that_state_splits(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("train/0.png", "valid/deep/1.png", "2.png"):
        put(root / name, picture(len(name)))
    rows = [{"file_name": name, "text": "x"} for name in ("train/0.png", "./valid/deep/1.png")]
    put(root / "metadata.jsonl", json_lines([*rows, {"file_name": "2.png", "text": "x", "split": "test"}]))
    table = build("imagefolder", root, tmp_path / "table")
    splits = dict(zip(*(table.items[name].to_pylist() for name in ("file", "split")), strict=True))
    assert splits == {"train/0.png": "train", "valid/deep/1.png": "val", "2.png": "test"}


@pytest.mark.parametrize("name", ["/etc/passwd", "\\\\host\\x.png"])
def test_an_absolute_path_is_refused_as_it_is_written(name: str, tmp_path: Path) -> None:
    put(tmp_path / "root" / "train" / "metadata.jsonl", json_lines([{"file_name": name, "text": "x"}]))
    with pytest.raises(DataError, match="absolute path") as caught:
        build("imagefolder", tmp_path / "root", tmp_path / "table")
    assert repr(name) in caught.value.problems[0].what


def test_metadata_files_are_found_at_any_depth_and_one_per_folder(tmp_path: Path) -> None:
    for name in ("b/metadata.csv", "a/c/metadata.parquet", "metadata.jsonl", "a/metadata.xml"):
        put(tmp_path / name, "x")
    names = [path.relative_to(tmp_path).as_posix() for path in metadata(tmp_path)]
    assert names == ["a/c/metadata.parquet", "b/metadata.csv", "metadata.jsonl"]
    put(tmp_path / "b" / "metadata.jsonl", "x")
    with pytest.raises(DataError, match=r"metadata\.csv and metadata\.jsonl are in the same folder"):
        metadata(tmp_path)
    with pytest.raises(DataError, match=r"no metadata\.csv, metadata\.jsonl or metadata\.parquet"):
        metadata(put(tmp_path / "empty" / "x", "x").parent)


def test_paths_relative_to_the_root_need_the_option_and_the_error_names_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "train", 2)
    rows = [{"file_name": f"train/{n}.png", "text": "x"} for n in range(2)]
    put(root / "train" / "metadata.jsonl", json_lines(rows))
    with pytest.raises(DataError, match=r"first folder is named twice.*relative_to=root"):
        build("imagefolder", root, tmp_path / "table")
    table = build("imagefolder", root, tmp_path / "table", relative_to="root")
    assert table.items["file"].to_pylist() == ["train/0.png", "train/1.png"]
    with pytest.raises(UsageError, match="relative_to is metadata or root"):
        build("imagefolder", root, tmp_path / "table", relative_to="images")
