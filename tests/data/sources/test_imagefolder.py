"""Image folders with metadata files."""

from __future__ import annotations

from pathlib import Path

from tests.data import own
from tests.data.own import SPLIT


def test_the_miniature_becomes_exactly_this_table(tmp_path: Path) -> None:
    paths = [f"{ {'val': 'validation'}.get(SPLIT[n], SPLIT[n]) }/inner/{n}.png" for n in range(8)]
    own.check_miniature("imagefolder", own.imagefolder(tmp_path / "root"), tmp_path, paths, paths)
