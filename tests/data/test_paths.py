"""Paths of annotations stay inside the folder the user named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.data.paths import contained, opened
from raytrain.errors import DataError


def test_a_plain_relative_path_is_joined(tmp_path: Path) -> None:
    assert contained(tmp_path, "train/a b.jpg") == tmp_path.resolve() / "train" / "a b.jpg"


@pytest.mark.parametrize(
    "bad",
    [
        "../x.jpg",
        "a/../../x.jpg",
        "a/..",
        "/etc/passwd",
        "C:\\x.jpg",
        "..\\x.jpg",
        "\\\\host\\x",
        "",
        ".",
        "a\0b",
        "x" * 256,
        "é" * 128,
        "a/" * 2100 + "b",
    ],
)
def test_what_climbs_out_or_names_no_file_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(DataError) as caught:
        contained(tmp_path, bad)
    assert caught.value.problems[0].file == bad[:40]


def test_half_of_a_surrogate_pair_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\\ud800.* is no Unicode text"):
        contained(tmp_path, "\ud800.jpg")
    assert contained(tmp_path, "é" * 127).name == "é" * 127


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "inside.txt").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "stays").symlink_to(root / "inside.txt")
    for bad in ("out", "folder/secret", "loop"):
        with pytest.raises(DataError, match="link"):
            contained(root, bad)
    assert contained(root, "stays").read_text() == "x"


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert contained(tmp_path / "root", "a") == tmp_path.resolve() / "real" / "a"


def test_what_cannot_be_opened_is_bad_data(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, what in (("absent", "No such file"), ("folder", "Is a directory")):
        with pytest.raises(DataError, match=f"{name}: not readable: {what}"):
            opened(tmp_path / name)


@given(st.lists(st.sampled_from(["a", "..", ".", "/", "\\", "C:", "", "~", "b.jpg"]), max_size=6).map("/".join))
def test_whatever_is_accepted_lies_inside(relative: str) -> None:
    root = Path("/nowhere/at/all")
    try:
        path = contained(root, relative)
    except DataError:
        return
    assert path.resolve().is_relative_to(root)
