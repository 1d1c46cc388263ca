"""CIRR rc2: subsets, paths below the image root, a test split without targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.problems import Problems
from raytrain.data.sources.cirr import read_extended, read_images, read_pairs
from raytrain.data.table import QuerySplit
from raytrain.errors import DataError, UsageError
from tests.data.pictures import left_behind
from tests.data.triplets import change, cirr, dump

EXTENDED = 4111  # of the 4,181 pairs of val so many have a note


def test_subsets_and_targets_are_rows_of_the_split(tmp_path: Path) -> None:
    table = build("cirr", cirr(tmp_path / "root"), tmp_path / "table")
    assert table.splits["val"] == {"items": 8, "texts": 2, "queries": 2}
    val = QuerySplit(table, "val")
    assert val.reference.tolist() == [7, 0]
    assert val.targets.tolist() == [2, 5]
    assert [sorted(part.tolist()) for part in np.split(val.subset, val.subset_offsets[1:-1])] == [
        [2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5],
    ]
    assert table.items["file"].to_pylist()[8] == "dev/val-0-img0.png"
    assert check(table.path, None) == []


def test_test1_keeps_its_pairids_and_the_query_without_a_caption(tmp_path: Path) -> None:
    table = build("cirr", cirr(tmp_path / "root"), tmp_path / "table")
    test = QuerySplit(table, "test", allow_test=True)
    assert test.relevant().sum() == 0
    assert table.queries is not None
    assert [table.queries["id"][row].as_py() for row in test.rows] == ["20", "21"]
    assert [table.texts["text"][row].as_py() for row in test.text] == ["three bottles", "."]
    assert table.description.source["empty_captions"] == 1


def test_a_split_whose_captions_are_absent_can_be_left_out(tmp_path: Path) -> None:
    root = cirr(tmp_path / "root")
    (root / "captions" / "cap.rc2.train.json").unlink()
    with pytest.raises(DataError, match=r"cap\.rc2\.train\.json: not found.*splits=NAMES"):
        build("cirr", root, tmp_path / "table")
    assert list(build("cirr", root, tmp_path / "table", splits="val,test1").splits) == ["val", "test"]
    with pytest.raises(UsageError, match="Splits: train, val, test1"):
        build("cirr", root, tmp_path / "other", splits="dev")


def test_bad_entries_are_named_by_row_and_nothing_is_left(tmp_path: Path) -> None:
    root = cirr(tmp_path / "root")
    val = root / "captions" / "cap.rc2.val.json"
    change(val, 0, img_set={"members": ["val-2-img0"]})
    change(val, 1, caption=" ", pairid="x")
    files = root / "image_splits" / "split.rc2.train.json"
    dump(files, json.loads(files.read_text()) | {"train-1-img0": "/etc/passwd"})
    with pytest.raises(DataError) as error:
        build("cirr", root, tmp_path / "table")
    problems = {(Path(p.file).name, p.row, p.what.split()[0]) for p in error.value.problems}
    assert problems == {
        ("cap.rc2.val.json", 0, "img_set"),
        ("cap.rc2.val.json", 1, "no"),
        ("cap.rc2.val.json", 1, "pairid"),
        ("split.rc2.train.json", 1, "absolute"),
    }
    assert left_behind(tmp_path) == ["root"]


def test_a_query_with_a_missing_member_is_left_out_and_counted(tmp_path: Path) -> None:
    root = cirr(tmp_path / "root")
    (root / "img_raw" / "dev" / "val-6-img0.png").unlink()  # a member of the first subset alone
    table = build("cirr", root, tmp_path / "table", allow_missing=0.1)
    assert table.description.missing == ["val-6-img0"]
    assert table.description.source["missing_queries"] == ["10"]
    assert QuerySplit(table, "val").reference.tolist() == [0]


def test_notes_on_a_pair_are_a_second_phrasing_and_codes_of_nothing_are_left_out(tmp_path: Path) -> None:
    plain = build("cirr", cirr(tmp_path / "root"), tmp_path / "plain")
    assert QuerySplit(plain, "val").phrasings.tolist() == [1, 1]
    table = build("cirr", tmp_path / "root", tmp_path / "table", extended=True)
    val, test = QuerySplit(table, "val"), QuerySplit(table, "test", allow_test=True)
    assert (val.phrasings.tolist(), test.phrasings.tolist()) == ([2, 1], [2, 1])
    texts = table.texts["text"].to_pylist()
    assert [texts[val.text[0] + at] for at in range(2)] == ["three bottles", "three bottles; photos of bottles; a wall"]
    assert texts[test.text[1]] == "."
    assert check(table.path, None) == []


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"pairid": 10}, "pairid 10 appears twice"),
        ({"pairid": 99}, "pairid 99 is no query of val"),
        ({"reference": "x"}, "pairid 11 has reference 'x'"),
        ({"caption_extend": ["x"]}, "no texts under 'caption_extend'"),
    ],
)
def test_notes_that_belong_to_no_query_are_named_by_row(fields: dict[str, Any], what: str, tmp_path: Path) -> None:
    path = cirr(tmp_path / "root") / "captions_ext" / "cap.ext.rc2.val.json"
    change(path, 1, **fields)
    with pytest.raises(DataError) as caught:
        build("cirr", tmp_path / "root", tmp_path / "table", extended=True)
    assert [(problem.file, problem.row, what in problem.what) for problem in caught.value.problems] == [
        (str(path), 1, True)
    ]
    path.unlink()
    with pytest.raises(DataError, match="without extended=true"):
        build("cirr", tmp_path / "root", tmp_path / "table", extended=True)


def test_the_real_annotations_have_their_counts(real_data: Path) -> None:
    root, problems = real_data / "cirr", Problems()
    if not root.is_dir():
        pytest.skip("no CIRR annotations here")
    val, test = (read_pairs(root, name, problems) for name in ("val", "test1"))
    assert (len(val), len(test)) == (4181, 4148)
    assert (val[0].id, test[0].id) == ("12060", "12063")
    assert {len(query.subset) for query in (*val, *test)} == {6}
    images = [len(read_images(root, name, problems)[0]) for name in ("train", "val", "test1")]
    assert images == [16939, 2297, 2315]
    extended = read_extended(root, "val", val, problems)
    assert sum(len(query.texts) == 2 for query in extended) == EXTENDED
    assert len(problems) == 0
