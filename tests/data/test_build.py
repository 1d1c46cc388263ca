from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.data.build import SOURCES, build, options_of, parse_options
from raytrain.errors import UsageError


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
