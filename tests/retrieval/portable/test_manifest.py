"""Hashes of a folder's files. How damage is told when a model is opened: test_read.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import DataError
from raytrain.retrieval.portable.manifest import Manifest, verify_files, write_manifest


def test_every_file_is_listed_and_verified(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "sub" / "b.bin").write_bytes(b"b")
    write_manifest(tmp_path)
    assert sorted(verify_files(tmp_path).files) == ["a.json", "sub/b.bin"]
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match=r"a\.json: not readable"):
        verify_files(tmp_path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../b", "a//b", "a\\b", "./a"])
def test_paths_stay_inside_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="no path inside"):
        Manifest(files={name: "0" * 64})
