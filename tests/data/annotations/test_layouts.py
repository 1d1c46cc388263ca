"""Layouts: what a folder holds, in words, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations import layouts
from raytrain.data.annotations.layouts import (
    GUESSED,
    KNOWN,
    Layout,
    column_named,
    describe_match,
    image_files,
    layout_of,
)
from tests.data.own import put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cap.train.json", "cap.val.json", "notes/1.txt", "images/a/1.JPG", "images/2.png", "images/readme.md"):
        put(tmp_path / name, "x")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("cap.train.json", "cap.train.json"),
        ("cap.*.json", "2 of cap.*.json"),
        ("cap.test.json", ""),
        ("images/", "images/ (2 images)"),
        ("empty/", "empty/"),
        ("absent/", ""),
        ("notes/*", "notes/1.txt"),
    ],
)
def test_a_match_is_a_name_a_number_or_a_folder_with_its_images(pattern: str, words: str, root: Path) -> None:
    assert describe_match(root, pattern) == words


def test_very_many_images_are_not_all_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_MANY", 2)
    assert describe_match(root, "images/") == "images/ (2 or more images)"


def test_images_are_listed_by_their_suffix_at_any_depth(root: Path) -> None:
    assert {path.relative_to(root).as_posix() for path in image_files(root)} == {"images/a/1.JPG", "images/2.png"}


def test_a_layout_lists_what_is_there_and_what_is_not(root: Path) -> None:
    layout = layout_of(root, ["cap.train.json", "cap.test.json", "images/"], ["notes/*", "more/*"], {"x": "1"})
    assert layout == Layout(
        ["cap.train.json", "images/ (2 images)", "notes/1.txt"], ["cap.test.json"], {"x": "1"}, KNOWN
    )
    assert layout_of(root, ["cap.train.json"], certainty=GUESSED) == Layout(["cap.train.json"], [], {}, GUESSED)


def test_too_few_matches_are_no_layout(root: Path) -> None:
    assert layout_of(root, ["cap.test.json", "absent/"]) is None
    assert layout_of(root, ["cap.train.json", "absent/"], at_least=2) is None
    assert layout_of(root, ["absent/"], at_least=0) == Layout([], ["absent/"])


def test_many_files_are_counted_and_folders_still_named(root: Path) -> None:
    names = [f"part{number}.json" for number in range(7)]
    for name in names:
        put(root / name, "x")
    layout = layout_of(root, [*names, "images/"])
    assert layout is not None
    assert layout.found == ["7 files (part0.json, ...)", "images/ (2 images)"]
    assert layout_of(root, names[:6]) == Layout(names[:6])


def test_a_column_is_found_by_the_first_likely_name_in_any_case() -> None:
    columns = ["Caption", "FILE", "text"]
    assert column_named(columns, ("image", "file")) == "FILE"
    assert column_named(columns, ("text", "caption")) == "text"
    assert column_named(columns, ("split",)) == column_named([], ("text",)) == ""
