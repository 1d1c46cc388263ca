"""Your own captions in files of rows."""

from __future__ import annotations

from pathlib import Path

from raytrain.data.build import build
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
