"""Damaged files for property tests."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

few = settings(max_examples=15, deadline=None)

many = settings(max_examples=50, deadline=None)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder for one example; fixtures are not made anew for each."""
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4
)


def edited(data: bytes, edits: list[tuple[float, bytes]]) -> bytes:
    changed = bytearray(data)
    for place, content in edits:
        start = int(place * len(changed))
        changed[start : start + len(content)] = content
    return bytes(changed)
