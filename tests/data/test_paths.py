"""Paths of annotations stay inside the folder the user named."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.data.paths import contained, entries, files_below, is_litter, open_binary
from raytrain.errors import DataError

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS: list[Form] = ["NFC", "NFD", "NFKC", "NFKD"]


def test_a_plain_relative_path_is_joined(tmp_path: Path) -> None:
    assert contained(tmp_path, "train/a b.jpg") == tmp_path.resolve() / "train" / "a b.jpg"


@pytest.mark.parametrize(
    "refused",
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
def test_what_climbs_out_or_names_no_file_is_refused(tmp_path: Path, refused: str) -> None:
    with pytest.raises(DataError) as caught:
        contained(tmp_path, refused)
    assert caught.value.problems[0].file == refused[:40]


def test_half_of_a_surrogate_pair_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\\ud800.* is not valid Unicode"):
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
    for refused in ("out", "folder/secret", "loop"):
        with pytest.raises(DataError, match="link"):
            contained(root, refused)
    assert contained(root, "stays").read_text() == "x"


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert contained(tmp_path / "root", "a") == tmp_path.resolve() / "real" / "a"


def test_what_cannot_be_opened_is_bad_data(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, what in (("absent", "No such file"), ("folder", "is a folder, not a file")):
        with pytest.raises(DataError, match=f"{name}: not readable: {what}"):
            open_binary(tmp_path / name)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root beside a secret, with links that stay and links that lead out, by every way there is."""
    home = tmp_path_factory.mktemp("tree")
    root = home / "root"
    (root / "a" / "b").mkdir(parents=True)
    for path in ("0.png", "a/0.png", "a/b/0.png", "..\uff0e", "e\u0301.png"):
        (root / path).write_text("inside")
    (home / "secret.png").write_text("secret")
    (root / "stays").symlink_to("a")
    for name, target in (
        ("out", ".."),
        ("a/out", home),
        ("out.png", "../secret.png"),
        ("twice", "a/out"),
        ("a/b/up", "../../../root/../secret.png"),
        ("loop", "loop"),
    ):
        (root / name).symlink_to(target)
    return root


PARTS = [
    "a", "b", "0.png", "out", "out.png", "stays", "twice", "up", "loop", "root", "secret.png", "..", ".", "", "~", "/",
    "\\", "..\\..", "C:", "c:\\", "C:secret.png", "\\\\host\\share", "\\\\?\\C:\\x", "\0", "0.png\0", "..\0", "%2e%2e",
    "\uff0e\uff0e", "\u2024\u2024", "\uff0f", "\u2215", "\uff3c", ".\u200d.", "..\u0301", "e\u0301.png", "\u00e9.png",
    "\u202e..", "file:///etc/passwd", "CON", "0.png:stream", "....", ". .", ".. ", " ..", "\ud800", "\udcff", "\n",
]  # fmt: skip
STRANGE = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), min_size=1, max_size=7)


@settings(max_examples=150, deadline=None)
@given(parts=STRANGE, between=st.sampled_from(["/", "/", "//", "\\", "/./", "\uff0f"]), form=st.sampled_from(FORMS))
def test_no_text_of_any_kind_reads_what_lies_outside(tree: Path, parts: list[str], between: str, form: Form) -> None:
    relative = unicodedata.normalize(form, between.join(parts))
    try:
        path = contained(tree, relative)
    except DataError:
        return
    assert path.resolve().is_relative_to(tree.resolve())
    assert path.is_relative_to(tree)
    if path.is_file():
        assert path.read_text() == "inside"


@pytest.mark.parametrize("name", ["..\uff0e", "\uff0e\uff0e/secret.png", "\u2024\u2024/secret.png"])
def test_signs_that_only_look_like_dots_are_names_as_they_stand(tree: Path, name: str) -> None:
    """Normalising would turn them into '..'; nothing here does."""
    assert unicodedata.normalize("NFKC", name).startswith("..")
    assert contained(tree, name) == tree / name


LITTER = [
    "._a.jpg", ".DS_Store", "__MACOSX/a.jpg", "a/Thumbs.db", "DESKTOP.INI", "@eaDir/a.jpg", "./PaxHeaders.12/a.jpg",
    "PaxHeaders/a", ".ipynb_checkpoints/x.csv", "Icon\r",
]  # fmt: skip


@pytest.mark.parametrize("name", LITTER)
def test_what_systems_put_beside_data_is_in_no_listing(name: str, tmp_path: Path) -> None:
    assert is_litter(name)
    for path in (name, "data.csv", "b/.hidden.jpg", "b/__init__.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    below = {path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)}
    assert below == {"data.csv", "b/.hidden.jpg", "b/__init__.jpg"}
    assert {path.name for path in entries(tmp_path)} - {"a"} == {"b", "data.csv"}
