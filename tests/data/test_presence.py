"""Images are found however systems write their paths, and nothing else is taken for them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.presence import Placed, Presence
from raytrain.data.storage import Url
from tests.data import own
from tests.data.own import picture, put

NFD = unicodedata.normalize("NFD", "für/é.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(
        ("a.png", "sub/b.png", NFD, "IMG_1.PNG", "c.webp", "odd\\name.png", "007.png", "coco_42.png")
    ):
        put(tmp_path / "images" / name, picture(number))
    put(tmp_path / "images" / "broken.png", b"no picture")
    put(tmp_path / "secret.png", picture(9))
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    return tmp_path / "images"


FOUND = {
    "a.png": "a.png",
    "./a.png": "a.png",
    "sub\\b.png": "sub/b.png",
    "a.png#3": "a.png",
    "odd\\name.png": "odd\\name.png",
    "für/é.png": NFD,
    "für\\é.png": NFD,
}


@pytest.mark.parametrize("written", FOUND)
def test_an_image_is_found_by_any_spelling_of_its_path(written: str, root: Path) -> None:
    presence = Presence(root)
    assert presence.find(written) == Placed(FOUND[written])
    assert presence.has(written)


@pytest.mark.parametrize(
    ("written", "kind", "what"),
    [
        ("x.png", "not found", "x.png not found"),
        ("img_1.png", "not found", "; there is 'IMG_1.PNG', which differs in upper and lower case"),
        ("c.jpg", "not found", "; there is 'c.webp', with another suffix"),
        ("a", "not found", "; there is 'a.png', with another suffix"),
        ("7.png", "not found", "; there is '007.png', whose number has zeros before it, or lacks them"),
        ("7", "not found", "; there is '007.png', whose number has zeros"),
        ("COCO_0042.jpg", "not found", "; there is 'coco_42.png', whose number"),
        ("images/a.png", "not found", ": 'images' is the image folder itself; there is 'a.png' in it"),
        ("sub/sub/b.png", "not found", ": its first folder is named twice; there is 'sub/b.png'"),
        ("broken.png", "broken", "not a JPEG, PNG or WEBP image"),
        ("link.png", "path", "through a link"),
        ("../secret.png", "path", "climbs out"),
        ("..\\secret.png", "path", "climbs out"),
        ("/home/me/photos/sub/b.png", "path", "'sub/b.png' below the images: remove '/home/me/photos/'"),
        ("C:\\me\\a.png", "path", "remove 'C:\\\\me\\\\'"),
        ("", "path", "names no file"),
    ],
)
def test_an_image_that_is_not_found_has_a_cause(written: str, kind: str, what: str, root: Path) -> None:
    presence = Presence(root)
    placed = presence.find(written)
    assert (placed.kind, what in placed.what) == (kind, True), placed
    assert presence.has(written) == (kind == "broken")


def test_litter_is_not_listed(root: Path) -> None:
    for name in ("._a.png", ".DS_Store", "__MACOSX/a.png", "sub/Thumbs.db", "@eaDir/a.png"):
        put(root / name, b"x")
    assert len(list(Presence(root).files())) == 10
    assert "a.png" in set(Presence(root).files())


def test_a_store_is_searched_like_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    names: Any = {"a.png", "sub/b.png", NFD, "._a.png"}
    monkeypatch.setattr(Url, "names", lambda url: names)
    presence = Presence(Url("memory://photos"))
    assert [presence.find(name).file for name in ("a.png", "sub\\b.png", "für/é.png")] == ["a.png", "sub/b.png", NFD]
    assert (
        presence.find("A.png").what == "image memory://photos/A.png not found; there is 'a.png', which differs in "
        "upper and lower case"
    )
    assert set(presence.files()) == names - {"._a.png"}


def test_a_table_holds_the_files_as_the_folder_spells_them(root: Path, tmp_path: Path) -> None:
    from raytrain.data.build import build

    rows = [{"image": name, "text": "x", "split": "train"} for name in ("sub\\b.png", "sub/b.png", "für/é.png")]
    put(tmp_path / "list" / "rows.jsonl", own.json_lines(rows))
    table = build("captions", tmp_path / "list", tmp_path / "table", images=str(root))
    assert table.items["file"].to_pylist() == ["sub/b.png", NFD]
    assert table.description.source["respelled_images"] == 2
