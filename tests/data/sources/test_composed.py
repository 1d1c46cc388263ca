"""Your own composed triplets in JSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.table import QuerySplit
from raytrain.errors import DataError
from tests.data import own
from tests.data.own import SPLIT, json_lines, put


def test_composed_triplets_become_exactly_this_table(tmp_path: Path) -> None:
    table = build("composed", own.composed(tmp_path / "root"), tmp_path / "table")
    ids = table.items["id"].to_pylist()
    assert ids == [f"{n}.png" for n in range(8)]
    assert table.items["split"].to_pylist() == SPLIT
    assert table.queries is not None
    texts = table.texts["text"].to_pylist()
    queries = [
        (
            row["id"], row["split"], ids[row["reference"]], texts[row["text"] : row["text"] + row["phrasings"]],
            [ids[item] for item in row["targets"]], [ids[item] for item in row["subset"]],
        )
        for row in table.queries.to_pylist()
    ]  # fmt: skip
    assert queries == [
        ("triplets1", "train", "0.png", ["in red"], ["1.png"], []),
        ("triplets2", "train", "1.png", ["longer", "more long"], ["2.png", "3.png"], []),
        ("q", "val", "4.png", ["shorter"], ["5.png"], ["5.png"]),
        ("triplets4", "test", "6.png", ["unknown"], [], []),
    ]
    assert table.gallery == "split"
    assert check(table.path, None) == []


def test_composed_groups_are_galleries_and_broken_images_are_counted(tmp_path: Path) -> None:
    root = own.composed(tmp_path / "root")
    put(root / "triplets.jsonl", json_lines({**row, "group": "shoe"} for row in own.triplet_rows()))
    put(root / "images" / "3.png", b"no picture")
    with pytest.raises(DataError, match=r"triplets\.jsonl, row 2: image .*3\.png: not a JPEG, PNG or WEBP image"):
        build("composed", root, tmp_path / "table")
    table = build("composed", root, tmp_path / "table", allow_missing=0.2)
    assert table.gallery == "group" and table.description.missing == ["3.png"]
    assert len(QuerySplit(table, "train")) == 2


def test_files_called_after_splits_state_them_and_names_are_made_of_file_and_row(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 4)
    put(root / "train.jsonl", json_lines([{"reference": "0.png", "text": "x", "target": "1.png"}]))
    put(root / "my_val.jsonl", json_lines([{"reference": "2.png", "text": "x", "target": "3.png"}]))
    table = build("composed", root, tmp_path / "table")
    assert table.queries is not None
    rows = [(row["id"], row["split"]) for row in table.queries.to_pylist()]
    assert sorted(rows) == [("my_val1", "val"), ("train1", "train")]


def test_targets_texts_and_members_that_repeat_are_kept_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 3)
    row = {"reference": "0.png", "texts": ["a  b", "a b"], "target": "1.png", "targets": ["./1.png", "2.png"],
           "subset": ["2.png", "2.png"], "split": "train"}  # fmt: skip
    put(root / "x.jsonl", json_lines([row]))
    table = build("composed", root, tmp_path / "table")
    assert table.queries is not None
    (query,) = table.queries.to_pylist()
    assert (query["targets"], query["subset"], query["phrasings"]) == ([1, 2], [2], 1)


def test_an_image_is_of_one_split_and_one_group(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 2)
    put(root / "a.jsonl", json_lines([{"image": "0.png", "split": "train"}, {"image": "1.png", "split": "val"}]))
    put(root / "b.jsonl", json_lines([{"reference": "0.png", "text": "x", "target": "1.png", "split": "val"}]))
    with pytest.raises(DataError) as caught:
        build("composed", root, tmp_path / "table")
    problem = caught.value.problems[0]
    assert (problem.file, problem.row) == (str(root / "b.jsonl"), 1)
    assert problem.what == f"image '0.png' is of split 'val', and of 'train' in {root / 'a.jsonl'}, row 1"
