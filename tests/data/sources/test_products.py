"""Attribute-derived triplets."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.problems import Problems
from raytrain.data.sources.products import read_products, read_triplets
from raytrain.data.table import QuerySplit
from raytrain.errors import DataError
from tests.data.pictures import left_behind
from tests.data.triplets import change, dump, products


def test_every_target_is_kept_and_the_table_is_sound(tmp_path: Path) -> None:
    table = build("products", products(tmp_path / "root"), tmp_path / "table")
    assert {name: table.splits[name] for name in ("val",)} == {"val": {"items": 4, "texts": 2, "queries": 2}}
    val = QuerySplit(table, "val")
    assert val.reference.tolist() == [2, 1]
    assert val.relevant().astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 1, 1]]
    assert [table.texts["text"][row].as_py() for row in val.text] == ["same but in red", "for women"]
    assert val.candidates().sum(1).tolist() == [3, 3]
    assert table.items["group"].to_pylist() == ["Socks"] * 12
    assert check(table.path, None) == []
    assert build("products", tmp_path / "root", tmp_path / "again").fingerprint == table.fingerprint


def test_all_problems_are_named_by_file_and_row_and_nothing_is_left(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    change(root / "triplets.val.json", 0, caption=" ")
    change(root / "triplets.val.json", 1, targets=["val-0", "nobody"])
    change(root / "triplets.test.json", 0, targets=["test-2"])
    change(root / "triplets.test.json", 1, reference="train-0")
    change(root / "triplets.train.json", 1, targets=[])
    change(root / "products.json", 3, file="../../x.jpg")
    change(root / "products.json", 5, split="dev")
    with pytest.raises(DataError) as error:
        build("products", root, tmp_path / "table")
    places = {(Path(p.file).name, p.row, p.what) for p in error.value.problems}
    expected = {
        ("triplets.val.json", 0, "no text under 'caption'"),
        ("triplets.val.json", 1, "target 'nobody' is not annotated; the query is of split val"),
        ("triplets.test.json", 0, "reference 'test-2' is its own target"),
        ("triplets.test.json", 1, "reference 'train-0' is of split train; the query is of split test"),
        ("triplets.train.json", 1, "no list of strings under 'targets'"),
        ("products.json", 3, "path '../../x.jpg' climbs out of the folder with '..'"),
        ("products.json", 5, "split 'dev', allowed are train, val, test"),
    }
    assert expected <= places
    assert left_behind(tmp_path) == ["root"]


def test_missing_images_are_counted_and_their_queries_listed(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    (root / "images" / "val-0.jpg").unlink()  # the only target of the first query
    (root / "images" / "test-3.jpg").unlink()  # one of two targets
    with pytest.raises(DataError, match="allow_missing") as error:
        build("products", root, tmp_path / "table")
    assert [p.row for p in error.value.problems] == [4, 11]
    table = build("products", root, tmp_path / "table", allow_missing=0.2)
    assert table.description.missing == ["val-0", "test-3"]
    assert table.description.source["missing_queries"] == ["val0"]
    assert table.splits["val"] == {"items": 3, "texts": 1, "queries": 1}
    assert QuerySplit(table, "test", allow_test=True).relevant().sum(1).tolist() == [1, 1]
    assert check(table.path, None) == []


def test_files_that_are_no_lists_are_refused(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    dump(root / "products.json", {"a": 1})
    with pytest.raises(DataError, match=r"products\.json: holds dict, expected a list"):
        build("products", root, tmp_path / "table")
    (root / "products.json").write_text("[\n{", encoding="utf-8")
    with pytest.raises(DataError, match=r"products\.json, row 2: not JSON"):
        build("products", root, tmp_path / "table")
    (root / "products.json").unlink()
    with pytest.raises(DataError, match="not found"):
        build("products", root, tmp_path / "table")
    assert left_behind(tmp_path) == ["root"]


def test_the_real_files_have_their_counts(real_data: Path) -> None:
    root, problems = real_data / "fashion_products", Problems()
    items, _ = read_products(root / "products.json", problems)
    counts = [
        len(read_triplets(root / f"triplets.{split}.json", split, problems)) for split in ("train", "val", "test")
    ]
    assert (len(items), counts, len(problems)) == (10519, [40000, 1070, 944], 0)
