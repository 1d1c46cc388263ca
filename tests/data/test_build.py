"""`data build`: names of sources, and the types of their options."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import SOURCES, build, options_of
from raytrain.data.table import Table
from raytrain.errors import DiskFullError, UsageError
from tests.data import own
from tests.data.own import put


def test_options_are_read_from_the_command_line_in_their_own_kind(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    command = ["data", "build", "webdataset", "--root", str(root), "--out", str(tmp_path / "table")]
    assert main([*command, "lines=true"]) == 0
    assert len(Table(tmp_path / "table").texts) == 16
    assert main([*command, "lines=maybe"]) == main([*command, "val=true"]) == main([*command, "lime=true"]) == 2
    numbered = tmp_path / "numbered"
    own.put_pictures(numbered / "images", 1)
    put(numbered / "x.csv", "image,0,split\n0.png,a caption,train\n")
    assert build("captions", numbered, tmp_path / "b", text=0).texts["text"].to_pylist() == ["a caption"]


def test_an_unknown_source_or_option_shows_those_that_exist(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(UsageError, match="karpathy, precomp, products"):
        build("flickr", root, tmp_path / "table")
    with pytest.raises(UsageError, match="images, allow_missing, texts_per_image"):
        build("karpathy", root, tmp_path / "table", image="x")
    with pytest.raises(UsageError, match="takes float or int; given: 'many'"):
        build("karpathy", root, tmp_path / "table", allow_missing="many")
    with pytest.raises(UsageError, match="--root"):
        build("karpathy", None, tmp_path / "table")


def test_every_source_says_which_options_it_takes() -> None:
    assert {"karpathy", "captions", "emoji"} <= set(SOURCES) and list(SOURCES) == sorted(SOURCES)
    assert options_of("karpathy") == ["images", "allow_missing", "texts_per_image"]
    assert options_of("emoji") == ["keywords"]
    assert all("root" not in options_of(source) and "out" not in options_of(source) for source in SOURCES)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("texts_per_image", 1.5, "int or nothing"), ("texts_per_image", True, "int or nothing"),
     ("allow_missing", True, "float or int"), ("images", None, "str"), ("images", True, "str")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_the_types_allowed(
    option: str, value: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"option {option} takes {words}; given: {value!r}"):
        build("karpathy", tmp_path, tmp_path / "table", **{option: value})


def test_a_full_disk_is_named_with_the_folder_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> Table:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("raytrain.data.sources.emoji.build", full)
    with pytest.raises(DiskFullError, match=rf"{tmp_path}: no room for table .*made"):
        build("emoji", None, tmp_path / "made")
