"""How a folder's files of rows are read; tests/data/test_detect.py builds what this finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations.layouts import GUESSED, MARKED, Layout
from raytrain.data.annotations.row_detection import layout_of_rows
from tests.data import own
from tests.data.own import put


def layout(root: Path, content: str, name: str = "list.csv", count: int = 2) -> Layout | None:
    own.put_pictures(root / "images", count)
    return layout_of_rows(put(root / name, content).parent)


def test_columns_are_known_by_their_content_rather_than_their_names(tmp_path: Path) -> None:
    """`file` holds where the row comes from, `title` a number."""
    content = "file,title,pic,said,split\n" + "".join(f"x,{n},{n}.png,a red dog,train\n" for n in range(2))
    detected = layout(tmp_path, content)
    assert detected and (detected.options["image"], detected.options["text"]) == ("pic", "title")
    content = "file,pic,said,split\n" + "".join(f"x,{n}.png,a red dog,train\n" for n in range(2))
    detected = layout(tmp_path, content)
    assert detected and (detected.options["image"], detected.options["text"]) == ("pic", "said")
    assert (detected.certainty, detected.options["val"], detected.options["test"]) == (MARKED, 0.1, 0.1)


@pytest.mark.parametrize(
    ("splits", "options", "missing"),
    [
        (["train", "val"], {}, []),
        (["training", "test"], {"val": 0.1}, []),
        (["train", "train"], {"val": 0.1, "test": 0.1}, []),
        (["", ""], {"val": 0.1, "test": 0.1}, []),
        (["", "val"], {}, ["splits: some rows state none"]),
    ],
)
def test_splits_that_no_row_states_are_drawn(
    splits: list[str], options: dict[str, float], missing: list[str], tmp_path: Path
) -> None:
    content = "image,text,split\n" + "".join(f"{n}.png,a dog,{split}\n" for n, split in enumerate(splits))
    detected = layout(tmp_path, content)
    assert detected and (detected.options, detected.missing) == (options, missing)


def test_the_index_that_pandas_writes_is_no_split(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}.png,\"['a dog', 'a cat']\"\n" for n in range(2))
    detected = layout(tmp_path, f",image,captions\n{rows}")
    assert detected and (detected.options, detected.missing) == ({"text": "captions", "val": 0.1, "test": 0.1}, [])


def test_files_of_other_columns_are_named_and_not_read(tmp_path: Path) -> None:
    put(tmp_path / "b.csv", "photo,title,split\n1.png,a dog,train\n")
    put(tmp_path / "notes.txt", "image of a dog\nand a cat\n")
    detected = layout(tmp_path, "image,text,split\n0.png,a dog,val\n", "a.csv")
    assert detected and detected.options == {"file": "a.csv"}
    assert detected.found[-1] == "not read: b.csv (file=NAME reads one)"


def test_a_few_unusable_rows_are_allowed_for_and_many_are_to_be_mended(tmp_path: Path) -> None:
    rows = "".join(f"{n}.png,a dog,{'val' if n % 2 else 'train'}\n" for n in range(40))
    detected = layout(tmp_path / "few", f"image,text,split\n{rows}40.png\n", count=40)
    assert detected and (detected.options, detected.missing) == ({"allow_missing": 0.025}, [])
    assert "1 of 41 rows cannot be read (row 42: 1 fields, the header has 3 (separated by comma))" in detected.found
    detected = layout(tmp_path / "many", f"image,text,split\n{rows}", count=30)
    assert detected and detected.missing == [
        "10 of 40 listed images are not there (such as 30.png): mend them, or build with allow_missing=0.25 or more"
    ]


def test_without_any_image_it_is_a_guess(tmp_path: Path) -> None:
    detected = layout_of_rows(put(tmp_path / "a.csv", "image,text,split\n0.png,a dog,val\n").parent)
    assert detected and (detected.certainty, detected.missing) == (GUESSED, [f"image {tmp_path}/0.png not found"])


@pytest.mark.parametrize("content", ["", "a\n", "a,b\n1,2\n", "id,name\nx y,z\n", '{"a": 1}', "\0\0\0\0"])
def test_other_files_are_no_layout(content: str, tmp_path: Path) -> None:
    for name in ("a.csv", "a.json", "a.txt", "a.parquet"):
        put(tmp_path / name, content)
    assert layout_of_rows(tmp_path) is None
