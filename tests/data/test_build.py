"""`data build`: names of sources, and the types of their options."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import SOURCES, build, options_of, parse_options
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
    assert main(["data", "build", "captions", "--root", str(numbered), "--out", str(tmp_path / "b"), "text=0"]) == 0
    assert Table(tmp_path / "b").texts["text"].to_pylist() == ["a caption"]


def test_an_unknown_source_or_option_shows_those_that_exist(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(UsageError, match="karpathy, precomp, products"):
        build("flickr", root, tmp_path / "table")
    with pytest.raises(UsageError, match="images, allow_missing, texts_per_image"):
        build("karpathy", root, tmp_path / "table", image="x")
    with pytest.raises(UsageError, match="takes a number; given: 'many'"):
        build("karpathy", root, tmp_path / "table", allow_missing="many")
    with pytest.raises(UsageError, match="name it with root"):
        build("karpathy", None, tmp_path / "table")


def test_every_source_says_which_options_it_takes() -> None:
    assert {"karpathy", "captions", "emoji"} <= set(SOURCES) and list(SOURCES) == sorted(SOURCES)
    assert list(options_of("karpathy")) == ["images", "allow_missing", "texts_per_image"]
    assert list(options_of("emoji")) == ["keywords"]
    assert all("root" not in options_of(source) and "out" not in options_of(source) for source in SOURCES)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("texts_per_image", 1.5, "a whole number or none"), ("texts_per_image", True, "a whole number or none"),
     ("allow_missing", True, "a number"), ("images", None, "a text"), ("images", True, "a text")],
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


def test_options_are_read_as_the_types_of_the_source() -> None:
    words = ["text=0", "id=001", "split=no", "attribution=2026-11-27", "images=/x/pictures #1", "val=1e-1", "test=0"]
    assert parse_options("captions", words) == {
        "text": "0", "id": "001", "split": "no", "attribution": "2026-11-27", "images": "/x/pictures #1", "val": 0.1,
        "test": 0.0,
    }  # fmt: skip
    assert parse_options("coco", ["dev_images=1e3", "texts_per_image=none"]) == {
        "dev_images": 1000, "texts_per_image": None,
    }  # fmt: skip
    assert parse_options("webdataset", ["lines=yes"]) == {"lines": True}
    assert parse_options("emoji", []) == {}


@pytest.mark.parametrize(
    ("source", "word", "message"),
    [
        ("karpaty", "x=1", "no source 'karpaty'; did you mean 'karpathy'\\? Sources: "),
        ("captions", "tex=1", "source captions has no option 'tex'; did you mean 'text'\\? Options: file, images, "),
        ("captions", "val=ten", "option val takes a number; given: 'ten'"),
        ("webdataset", "lines=maybe", "option lines takes true or false; given: 'maybe'"),
        ("cub", "fold=1.5", "option fold takes a whole number; given: '1.5'"),
        ("coco", "dev_images=few", "option dev_images takes a whole number or none; given: 'few'"),
        ("coco", "dev_images", "'dev_images' is no override; write name=value, for example val=0.1"),
        ("precomp", "progress=yes", "option progress takes "),
    ],
)
def test_a_wrong_option_says_what_is_allowed(source: str, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options(source, [word])


@pytest.mark.parametrize(
    "options", [{"val": True}, {"val": "0.1"}, {"text": 0}, {"file": None}, {"allow_missing": "none"}], ids=str
)
def test_python_values_of_another_type_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"source captions: option {next(iter(options))} takes "):
        build("captions", tmp_path, tmp_path / "table", **options)


def test_every_option_of_every_source_has_a_type() -> None:
    for source in SOURCES:
        assert {type_ for name, type_ in options_of(source).items() if name != "progress"} <= {
            str, bool, int, float, int | None,
        }  # fmt: skip
