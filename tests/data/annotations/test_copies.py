"""Exact copies are found by size, end and hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.annotations import copies
from raytrain.data.annotations.copies import copies_across_splits, exact_copies
from raytrain.data.storage import Url
from tests.data.own import put

END = b"x" * 5000
CONTENTS = {"a": b"1" + END, "b": b"1" + END, "c": b"2" + END, "d": b"short", "e": b"13" + END, "f": b"short"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        put(tmp_path / name, content)
    return tmp_path


def test_files_of_one_size_and_end_are_copies_only_if_all_bytes_are_equal(root: Path) -> None:
    digests = exact_copies(root / name for name in [*CONTENTS, "absent"])
    assert sorted(path.name for path in digests) == ["a", "b", "d", "f"]
    assert digests[root / "a"] == digests[root / "b"] != digests[root / "d"] == digests[root / "f"]


def test_files_of_different_sizes_are_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_end", lambda path: pytest.fail(f"{path} was read"))
    assert exact_copies([root / "a", root / "d", root / "e"]) == {}


def test_copies_count_where_their_split_is_another_than_the_first_one(root: Path) -> None:
    files = [("a", "train"), ("b", "val"), ("d", "val"), ("f", "val"), ("c", "test"), ("", "train")]
    assert copies_across_splits(files, root) == 1
    assert copies_across_splits([*files, ("a", "test")], root) == 2
    assert copies_across_splits(files, Url("memory://x")) == 0
