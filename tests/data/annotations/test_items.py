"""Items: their conversion to the columns of a table, and those whose image is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations.items import Item, open_image_root, present_images, to_arrow, write_items
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.check.check import check
from raytrain.data.problems import Problems
from raytrain.data.storage import Url
from raytrain.data.table.coverage import Missing
from raytrain.data.table.schema import ITEMS, TEXTS
from raytrain.errors import DataError
from tests.data import own

NAMES = ("a", "b", "c", "d")
PLACES = {name: SourceLocation("made.json", row) for row, name in enumerate(NAMES)}


def items() -> list[Item]:
    return [Item(name, f"{name}.png", "train", [(f"{name}#0", f"It is {name}.")]) for name in NAMES]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """a is sound, b is absent, c is broken, d is a link that leads out."""
    own.put(tmp_path / "images" / "a.png", own.picture(0))
    own.put(tmp_path / "images" / "c.png", b"no picture")
    own.put(tmp_path / "secret.png", own.picture(1))
    (tmp_path / "images" / "d.png").symlink_to(tmp_path / "secret.png")
    return tmp_path / "images"


def test_captions_become_texts_of_their_item_in_order_and_in_words() -> None:
    made = [Item("a", "a.png", "train", [("t0", "A dog!"), ("t1", "dog")], "g", "Ann"), Item("b", "", "val")]
    rows, texts = to_arrow(made)
    assert (rows.schema, texts.schema) == (ITEMS, TEXTS)
    assert rows.to_pylist() == [
        {"id": "a", "file": "a.png", "split": "train", "group": "g", "attribution": "Ann"},
        {"id": "b", "file": "", "split": "val", "group": "", "attribution": ""},
    ]
    assert texts.to_pylist() == [
        {"id": "t0", "item": 0, "text": "A dog!", "tokens": ["a", "dog", "!"]},
        {"id": "t1", "item": 0, "text": "dog", "tokens": ["dog"]},
    ]


def test_no_item_gives_empty_columns_of_the_right_types() -> None:
    rows, texts = to_arrow([])
    assert (rows.schema, texts.schema, len(rows), len(texts)) == (ITEMS, TEXTS, 0, 0)


def test_absent_and_broken_images_are_counted_and_refused_paths_are_problems(root: Path) -> None:
    missing, problems = Missing(allowed=0.5), Problems()
    present = present_images(items(), PLACES, root, missing, problems)
    assert [item.id for item in present] == ["a"]
    assert (missing.ids, dict(missing.because)) == (["b", "c"], {"not found": 1, "broken": 1})
    assert missing.splits == {"train": {"items": 2, "texts": 2}}
    assert [(problem.file, problem.row) for problem in problems.list()] == [("made.json", 3)]
    assert "through a link" in problems.list()[0].what


def test_more_absent_images_than_allowed_are_all_listed(root: Path) -> None:
    problems = Problems()
    present_images(items()[:3], PLACES, root, Missing(allowed=0.6), problems)
    assert [problem.row for problem in problems.list()] == [1, 2]
    assert problems.list()[0].what == f"image {root / 'b.png'} not found"
    assert problems.list()[1].what.startswith(f"image {root / 'c.png'}: not a JPEG")


def test_the_table_holds_the_items_whose_image_is_there(root: Path, tmp_path: Path) -> None:
    missing = Missing(allowed=0.7)
    table = write_items(tmp_path / "t", {"name": "made up"}, items()[:3], PLACES, root, missing, Problems())
    assert (table.items["id"].to_pylist(), table.description.missing) == (["a"], ["b", "c"])
    assert check(table.path, None) == []


def test_problems_of_reading_and_a_folder_without_any_image_leave_no_table(root: Path, tmp_path: Path) -> None:
    problems = Problems()
    problems.add("x", PLACES["a"].problem("no caption", "Write one."))
    with pytest.raises(DataError, match="no caption"):
        write_items(tmp_path / "t", {}, items()[:1], PLACES, root, Missing(), problems)
    with pytest.raises(DataError, match="no image of the annotations is there"):
        write_items(tmp_path / "t", {}, items()[1:2], PLACES, root, Missing(allowed=1.0), Problems())
    assert not (tmp_path / "t").exists()


def test_an_image_root_is_a_folder_that_exists_or_a_url(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_image_root("images", root.parent) == root.resolve()
    with pytest.raises(DataError, match=r"absent: not a folder.*images=FOLDER"):
        open_image_root("absent", root.parent)
    monkeypatch.setattr(Url, "is_dir", lambda url: True)
    assert open_image_root("s3://bucket/photos", root) == Url("s3://bucket/photos")
