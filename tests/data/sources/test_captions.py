"""Your own captions in files of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.errors import UsageError
from tests.data import own
from tests.data.own import put


def test_files_called_after_splits_state_them(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images")
    for split, numbers in (("train", range(6)), ("my_valid", range(6, 8))):
        put(root / f"{split}.csv", own.as_csv([{"image": f"{n}.png", "text": f"number {n}"} for n in numbers]))
    table = build("captions", root, tmp_path / "table")
    assert {name: count["items"] for name, count in table.splits.items()} == {"train": 6, "val": 2}


def test_the_miniature_becomes_exactly_this_table(tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    own.check_miniature("captions", root, tmp_path, [f"{n}.png" for n in range(8)], [f"{n}.png" for n in range(8)])


@pytest.mark.parametrize(("delimiter", "sign"), [("semicolon", ";"), ("pipe", "|"), ("tab", "\t"), (":", ":")])
def test_a_delimiter_is_a_word_or_a_character(delimiter: str, sign: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 1)
    put(root / "x.csv", sign.join(["image", "text", "split"]) + "\n" + sign.join(["0.png", "a, b", "train"]) + "\n")
    assert build("captions", root, tmp_path / "t", delimiter=delimiter).texts["text"].to_pylist() == ["a, b"]


@pytest.mark.parametrize("delimiter", ["||", "comma ", "\n", '"'])
def test_other_delimiters_are_errors_of_usage(delimiter: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one character or comma, tab, semicolon, pipe"):
        build("captions", tmp_path, tmp_path / "t", delimiter=delimiter)


def test_files_that_are_named_are_read_and_no_others(tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    put(root / "other.csv", "image,text,split\n0.png,not this one,train\n")
    table = build("captions", root, tmp_path / "table", file="captions.csv")
    assert len(table.texts) == 16 and "not this one" not in table.texts["text"].to_pylist()
    assert table.description.source["files"] == ["captions.csv"]
    both = build("captions", root, tmp_path / "both")
    assert both.description.source["files"] == ["captions.csv", "other.csv"]
