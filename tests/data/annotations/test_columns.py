"""Rows of a file as records: which column holds what."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.errors import UsageError
from tests.data import own
from tests.data.own import put


def test_columns_are_named_by_option_and_their_content_lands_where_it_belongs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rows = [
        {"path": "0.png", "a": "one", "b": "two", "part": "train", "key": 7, "kind": "shoe", "by": "Ann"},
        {"path": "1.png", "a": '["three", "four"]', "b": "five", "part": "dev", "key": 8, "kind": "", "by": ""},
    ]
    put(
        root / "x.csv",
        "\n".join([";".join(rows[0]), *(";".join(str(v) for v in row.values()) for row in rows)]).replace(
            '["three", "four"]', '"[""three"", ""four""]"'
        ),
    )
    own.put_pictures(root / "pics", 2)
    names = {"image": "path", "text": "a,b", "split": "part", "id": "key", "group": "kind", "attribution": "by"}
    table = build("captions", root, tmp_path / "table", images="pics", delimiter=";", **names)
    assert table.items.to_pylist() == [
        {"id": "7", "file": "0.png", "split": "train", "group": "shoe", "attribution": "Ann"},
        {"id": "8", "file": "1.png", "split": "val", "group": "", "attribution": ""},
    ]
    assert table.texts["text"].to_pylist() == ["one", "two", "three", "four", "five"]
    with pytest.raises(UsageError, match="delimiter is one character"):
        build("captions", root, tmp_path / "table", delimiter="||")
