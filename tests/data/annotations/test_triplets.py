"""What the sources of triplets share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrain.config import override
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.errors import DataError, UsageError
from raytrain.recipes import RECIPES
from raytrain.training.run import open_tables
from tests.data.pictures import left_behind
from tests.data.triplets import cirr, dump, fashion_iq, products

FILES: list[tuple[str, Callable[[Path], Path], str]] = [
    ("products", products, "products.json"),
    ("products", products, "triplets.train.json"),
    ("fashion_iq", fashion_iq, "captions/cap.shirt.train.json"),
    ("fashion_iq", fashion_iq, "image_splits/split.shirt.train.json"),
    ("cirr", cirr, "captions/cap.rc2.test1.json"),
]


@pytest.mark.parametrize("entry", [None, 7, [], {}, {"captions": 1, "img_set": 1, "targets": {}, "reference": []}])
@pytest.mark.parametrize(("source", "make", "file"), FILES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_entry_of_any_shape_is_named_by_its_row(
    source: str, make: Callable[[Path], Path], file: str, entry: Any, tmp_path: Path
) -> None:
    root = make(tmp_path / "root")
    entries = json.loads((root / file).read_text())
    entries[1] = entry
    dump(root / file, entries)
    with pytest.raises(DataError) as error:
        build(source, root, tmp_path / "table")
    assert (str(root / file), 1) in {(problem.file, problem.row) for problem in error.value.problems}
    assert left_behind(tmp_path) == ["root"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"[]", b"{}", b"null"])
@pytest.mark.parametrize(("source", "make", "file"), FILES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_file_of_any_content_is_named(
    source: str, make: Callable[[Path], Path], file: str, content: bytes, tmp_path: Path
) -> None:
    root = make(tmp_path / "root")
    (root / file).write_bytes(content)
    with pytest.raises(DataError) as error:
        build(source, root, tmp_path / "table")
    assert [problem.file for problem in error.value.problems] == [str(root / file)]
    assert left_behind(tmp_path) == ["root"]


def test_a_link_that_leads_out_of_the_image_folder_is_refused(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    outside = tmp_path / "secret.jpg"
    (root / "images" / "val-0.jpg").rename(outside)
    (root / "images" / "val-0.jpg").symlink_to(outside)
    with pytest.raises(DataError, match=r"products\.json, row 4: .*through a link"):
        build("products", root, tmp_path / "table")


def test_a_table_stays_as_it_was_when_its_files_became_bad(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    before = build("products", root, tmp_path / "table")
    (root / "triplets.val.json").write_text("[]")
    with pytest.raises(DataError, match="expected a list with entries"):
        build("products", root, tmp_path / "table")
    assert Table(before.path).fingerprint == before.fingerprint
    assert left_behind(tmp_path) == ["root", "table"]


def test_wrong_options_and_empty_folders_are_named(tmp_path: Path) -> None:
    root = products(tmp_path / "root")
    with pytest.raises(UsageError, match=r"allow_missing is a share"):
        build("products", root, tmp_path / "table", allow_missing=2.0)
    with pytest.raises(DataError, match="images=FOLDER"):
        build("products", root, tmp_path / "table", images="pictures")
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no query has its reference and a target"):
        build("products", root, tmp_path / "table", allow_missing=1.0)
    assert left_behind(tmp_path) == ["root"]


def test_a_method_of_images_and_captions_does_not_train_on_composed_queries(tmp_path: Path) -> None:
    table = build("products", products(tmp_path / "raw"), tmp_path / "table")
    config = override(RECIPES["vse_infinity_flickr8k"](), {"data.table": str(table.path)})
    with pytest.raises(UsageError, match="holds composed queries"):
        open_tables(config)
