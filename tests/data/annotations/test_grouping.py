"""Records grouped by image: splits that are drawn, repeats, and what is left out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.data.table.coverage import remarks_on
from raytrain.errors import DataError, UsageError
from tests.data import own
from tests.data.own import json_lines, picture, put
from tests.data.pictures import left_behind


def unsplit(root: Path, count: int = 60, **more: Any) -> Path:
    for number in range(count):
        put(root / "images" / f"{number}.png", picture(number))
    rows = [{"image": f"{n}.png", "text": f"number {n}", **{k: f(n) for k, f in more.items()}} for n in range(count)]
    put(root / "rows.jsonl", json_lines(rows))
    return root


def test_splits_are_drawn_by_the_hash_of_each_image_and_the_table_says_so(tmp_path: Path) -> None:
    table = build("captions", unsplit(tmp_path / "root"), tmp_path / "table", val=0.2, test=0.1)
    expected = {}
    for number in range(60):
        digest = hashlib.sha256(picture(number)).hexdigest()
        place = int(hashlib.sha256(digest.encode()).hexdigest()[:16], 16) / 2**64
        expected[f"{number}.png"] = "test" if place < 0.1 else "val" if place < 0.3 else "train"
    assert dict(zip(*(table.items[name].to_pylist() for name in ("id", "split")), strict=True)) == expected
    drawn = table.description.source["drawn"]
    assert (drawn["val"], drawn["test"], drawn["from"]) == (0.2, 0.1, 60)
    assert drawn["images"] == {name: count["items"] for name, count in table.splits.items()}
    # an image that joins later changes no other one's split
    more = build("captions", unsplit(tmp_path / "more", 70), tmp_path / "b", val=0.2, test=0.1)
    later = dict(zip(*(more.items[name].to_pylist() for name in ("id", "split")), strict=True))
    assert {name: later[name] for name in expected} == expected


def test_a_group_is_drawn_as_a_whole_and_copies_fall_into_one_split(tmp_path: Path) -> None:
    root = unsplit(tmp_path / "root", group=lambda n: f"g{n % 12}")
    table = build("captions", root, tmp_path / "table", val=0.3, test=0.2)
    of_group: dict[str, set[str]] = {}
    for row in table.items.to_pylist():
        of_group.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in of_group.values()) and len(table.splits) == 3
    copies = unsplit(tmp_path / "copies", 30)
    for number in range(30):
        put(copies / "images" / f"copy{number}.png", picture(number))
    rows = [{"image": f"{kind}{n}.png", "text": f"number {n}"} for kind in ("", "copy") for n in range(30)]
    put(copies / "rows.jsonl", json_lines(rows))
    built = build("captions", copies, tmp_path / "b", val=0.3, test=0.2)
    split = dict(zip(*(built.items[name].to_pylist() for name in ("id", "split")), strict=True))
    assert all(split[f"{n}.png"] == split[f"copy{n}.png"] for n in range(30))
    assert built.description.source["repeated_images"] == 30


def test_val_is_drawn_from_a_stated_train_and_never_from_test(tmp_path: Path) -> None:
    root = unsplit(tmp_path / "root", split=lambda n: "test" if n < 10 else "train")
    table = build("captions", root, tmp_path / "table", val=0.3)
    assert table.splits["test"]["items"] == 10
    assert 5 < table.splits["val"]["items"] < 25
    with pytest.raises(UsageError, match=r"test=0\.1 draws a split that the data state already"):
        build("captions", root, tmp_path / "other", val=0.1, test=0.1)
    for shares in ({"val": 1.0}, {"val": -0.1}, {"val": 0.5, "test": 0.5}, {"allow_missing": 1.5}):
        with pytest.raises(UsageError):
            build("captions", root, tmp_path / "other", **shares)
    assert left_behind(tmp_path) == ["root", "table"]


def test_what_is_left_out_is_bounded_counted_and_listed(tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    (root / "images" / "0.png").unlink()
    put(root / "images" / "1.png", b"GIF89a")
    put(root / "images" / "nobody.png", picture(50))
    rows = own.rows_of_captions()
    rows[4]["text"] = rows[5]["text"] = ""  # picture 2 says nothing
    rows[6]["text"] = " "  # picture 3 keeps one
    rows += [rows[8], rows[9]]
    put(root / "captions.csv", own.as_csv(rows))
    with pytest.raises(DataError) as caught:
        build("captions", root, tmp_path / "table", allow_missing=0.3)  # 3 of 8 images
    assert sorted({problem.row for problem in caught.value.problems}) == [2, 4, 6]
    table = build("captions", root, tmp_path / "table", allow_missing=0.4)
    assert table.description.missing == ["0.png", "1.png", "2.png"]
    source = table.description.source
    accounts = table.description.accounts
    assert accounts is not None
    assert accounts.because == {"broken": 1, "no caption": 1, "not found": 1}
    assert accounts.allow_missing == 0.4
    assert accounts.splits["train"] == {
        "items": {"annotated": 4, "missing": 3}, "texts": {"annotated": 5, "missing": 4},
    }  # fmt: skip
    assert (source["empty_texts"], source["repeated_texts"]) == (3, 2)
    assert (source["rows"], source["unlisted_images"]) == (18, 1)
    assert table.splits["train"] == {"items": 1, "texts": 1}
    assert table.splits["val"] == {"items": 2, "texts": 4}


def test_a_list_of_captions_may_repeat_itself(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 2)
    rows = [{"image": f"{n}.png", "text": ["a dog", "a dog"], "split": "train"} for n in range(2)]
    put(root / "rows.jsonl", json_lines(rows))
    assert len(build("captions", root, tmp_path / "table").texts) == 4


def test_rows_that_cannot_be_read_are_named_and_a_share_of_them_may_be_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = own.captions(tmp_path / "root")
    put(root / "captions.csv", own.as_csv(own.rows_of_captions()) + "7.png\n")
    words = ["data", "build", "captions", "--root", str(root), "--out", str(tmp_path / "t")]
    assert main([*words, "--allow-missing", "0.05"]) == 3
    assert "row 18: 1 fields, the header has 3" in capsys.readouterr().err
    assert main([*words, "--allow-missing", "0.06"]) == 0
    assert "rows that cannot be read, left out: 1 (captions.csv, row 18: 1 fields" in capsys.readouterr().out
    source = Table(tmp_path / "t").description.source
    assert (source["bad_rows"], source["rows"]) == (1, 16)


@pytest.mark.parametrize("name", ["copy.png", "sub/1.png"])
def test_a_picture_under_two_names_in_two_splits_is_refused(name: str, tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    put(root / "images" / name, picture(0))  # of train
    rows = [*own.rows_of_captions(), {"image": name, "text": "x", "split": "val"}]
    put(root / "captions.csv", own.as_csv(rows))
    with pytest.raises(DataError, match=rf"row 18: image '{name}' is in val, its copy '0\.png' .* row 2\) in train"):
        build("captions", root, tmp_path / "table")
    rows[-1]["split"] = "train"
    put(root / "captions.csv", own.as_csv(rows))
    assert build("captions", root, tmp_path / "table").description.source["repeated_images"] == 1


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    put(root / "captions.csv", own.as_csv([{**row, "text_2": "more"} for row in own.rows_of_captions()]))
    table = build("captions", root, tmp_path / "table")
    assert table.description.source["unused_columns"] == ["text_2"]
    assert remarks_on(table) == ["columns that are not read: text_2"]
