"""VSE-infinity's lists of ids with the images that id_mapping.json names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.detect import detect
from raytrain.errors import DataError
from tests.data.layouts import vse_images
from tests.data.own import put
from tests.data.pictures import left_behind

OPTIONS: dict[str, Any] = {"test": "testall"}


def test_the_miniature_becomes_the_table_one_expects(tmp_path: Path) -> None:
    root = vse_images(tmp_path / "root")
    table = build("vse_images", root, tmp_path / "table", dev_images=2, **OPTIONS)
    assert table.splits == {
        "train": {"items": 3, "texts": 15}, "val": {"items": 2, "texts": 10}, "test": {"items": 3, "texts": 15},
    }  # fmt: skip
    rows = table.items.to_pylist()
    assert [row["id"] for row in rows] == ["3", "1", "2", "103", "101", "203", "201", "202"]
    assert rows[3]["file"] == "dev2014/103.jpg"
    assert table.texts.to_pylist()[16]["text"] == "caption 1 of 103"
    assert check(table.path, progress=None) == []
    (root / "images" / "dev2014" / "101.jpg").unlink()
    less = build("vse_images", root, tmp_path / "less", allow_missing=0.12, **OPTIONS)
    assert less.description.missing == ["101"]


def test_it_is_detected_beside_the_arrays(tmp_path: Path) -> None:
    root = vse_images(tmp_path / "root")
    (best,) = detect(root)
    assert (best.source, best.layout.missing, best.layout.options) == ("vse_images", [], {"test": "testall"})
    (root / "images").rename(root / "flickr30k-images")
    (root / "precomp" / "dev_ids.txt").unlink()
    (best,) = detect(root)
    assert best.layout.missing == ["precomp/dev_ids.txt"]
    assert best.layout.options == {"test": "testall", "images": "flickr30k-images"}


@pytest.mark.parametrize(
    ("name", "content", "file", "row", "what"),
    [
        ("dev_ids.txt", "103\n101\n", "dev_ids.txt", 2, "2 ids for 3 images in 15 rows"),
        ("dev_ids.txt", "103\n" * 5 + "101\n" * 4 + "102\n" * 6, "dev_ids.txt", 6, "in 5 consecutive lines"),
        ("dev_ids.txt", "103\n103\n101\n", "dev_ids.txt", 2, "appears twice"),
        ("dev_ids.txt", "103\n101\n1\n", "dev_ids.txt", 3, "is in train_ids.txt, row 2 too"),
        ("dev_ids.txt", "103\n101\n7\n", "dev_ids.txt", 3, "has no path in id_mapping.json"),
        ("dev_caps.txt", "a\nb\nc\n", "dev_caps.txt", 3, "3 captions for 3 image ids: 1 per image"),
        ("dev_caps.txt", "a\nb\n\nd\ne\n" * 3, "dev_caps.txt", 3, "empty caption"),
    ],
)
def test_bad_lists_are_named_by_line(name: str, content: str, file: str, row: int, what: str, tmp_path: Path) -> None:
    root = vse_images(tmp_path / "root")
    put(root / "precomp" / name, content)
    with pytest.raises(DataError) as caught:
        build("vse_images", root, tmp_path / "table", **OPTIONS)
    problems = [(Path(problem.file).name, problem.row, problem.what) for problem in caught.value.problems]
    assert any((where, at, what in message) == (file, row, True) for where, at, message in problems), problems
    assert left_behind(tmp_path) == ["root"]


def test_a_mapped_path_that_climbs_out_is_refused(tmp_path: Path) -> None:
    root = vse_images(tmp_path / "root")
    paths = json.loads((root / "id_mapping.json").read_text())
    put(root / "id_mapping.json", json.dumps(paths | {"103": "../../x.jpg"}))
    with pytest.raises(DataError, match=r"dev_ids\.txt, row 1: path '\.\./\.\./x\.jpg' climbs out"):
        build("vse_images", root, tmp_path / "table", **OPTIONS)
