"""Where annotated images are, among the folders that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations.layouts import Layout
from raytrain.data.annotations.placement import Placement, image_folders, place_images, with_listed_images
from tests.data.own import put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "images/a/1.JPG",
        "images/2.png",
        "notes/1.txt",
        "deep/er/est/3.png",
        "__MACOSX/2.png",
        ".x/2.png",
        "4.png",
    ):
        put(tmp_path / name, "x")
    return tmp_path


def test_folders_with_usual_names_come_first_and_litter_never(root: Path) -> None:
    assert list(image_folders(root)) == ["images", ".", "deep", "notes", "deep/er", "images/a", "deep/er/est"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["2.png"], Placement("images", "", "", 1, 1)),
        (["images/2.png", "4.png"], Placement(".", "", "", 2, 2)),
        (["3.png", "x.png"], Placement("deep/er/est", "", "", 1, 2, "x.png")),
        (["2"], Placement("images", "", ".png", 1, 1)),
        (["/home/me/a/1.JPG"], Placement("images", "/home/me/", "", 1, 1)),
        (["C:\\me\\a\\1.JPG"], Placement("images", "C:\\me\\", "", 1, 1)),
        (["absent.png"], None),
        (["", "x\0y", "x" * 5000, "../4.png"], None),
        ([], None),
    ],
)
def test_the_place_is_that_of_most_names(names: list[str], expected: Placement | None, root: Path) -> None:
    assert place_images(root, names) == expected


def test_only_plain_names_are_looked_for_where_the_source_has_no_options_for_others(root: Path) -> None:
    assert place_images(root, ["2"], plain=True) is None
    assert place_images(root, ["2.png"], plain=True) == Placement("images", "", "", 1, 1)


def test_a_place_is_options_and_words() -> None:
    assert Placement("images", "", "", 2, 2).options == {}
    placement = Placement("photos", "/x/", ".png", 1, 2, "b")
    assert placement.options == {"images": "photos", "strip": "/x/", "suffix": ".png"}
    assert placement.words() == ["1 of the first 2 listed images are there, 'b' is not"]


def test_a_layout_says_which_listed_images_are_not_there(root: Path) -> None:
    layout = Layout(["x.json"])
    images = root / "images"
    assert with_listed_images(layout, images, ["2.png"]) == layout
    some, none = (with_listed_images(layout, images, names) for names in (["2.png", "3.png"], ["3.png"]))
    assert some and none and some.found[1] == "1 of the first 2 listed images are there, '3.png' is not"
    assert none.missing == [f"image {images / '3.png'} not found"]
    assert with_listed_images(None, images, ["3.png"]) is None
