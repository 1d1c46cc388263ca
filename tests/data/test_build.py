"""`data build`: names of sources, and the types of their options."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.errors import UsageError
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


def test_an_unknown_source_or_option_shows_those_that_exist(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="karpathy, precomp, products"):
        build("flickr", root, tmp_path / "table")
    with pytest.raises(UsageError, match="images, allow_missing, texts_per_image"):
        build("karpathy", root, tmp_path / "table", image="x")
    with pytest.raises(UsageError, match="takes float or int; given: 'many'"):
        build("karpathy", root, tmp_path / "table", allow_missing="many")
    with pytest.raises(UsageError, match="--root"):
        build("karpathy", None, tmp_path / "table")
