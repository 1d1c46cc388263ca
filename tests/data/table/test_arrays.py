"""A .npy file is mapped only after its header and its length agree, and nothing in it is unpickled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.table.arrays import open_array
from raytrain.errors import DataError

ROWS = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", ROWS)
    return tmp_path / "x.npy"


@pytest.mark.parametrize("rows", [ROWS, np.asfortranarray(ROWS), ROWS[:0], np.int64(3), np.ones(3, bool)])
def test_an_array_of_numbers_is_what_was_saved(rows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", rows)
    opened = open_array(tmp_path / "x.npy")
    assert np.array_equal(opened, rows) and opened.dtype == rows.dtype and opened.shape == rows.shape
    assert not opened.flags.writeable or 0 in rows.shape


def header(**changes: object) -> Callable[[Path], object]:
    """Writes a header of other facts before the same numbers."""

    def write(path: Path) -> None:
        facts = {"descr": "<f2", "fortran_order": False, "shape": (2, 3, 4)} | changes
        text = repr(facts).encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + ROWS.tobytes())

    return write


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.write_bytes(b""), "no .npy header"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "no .npy header"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cut off: 47 bytes of numbers"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "1 bytes too long"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + path.read_bytes()[10:]), "no .npy header"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x09\x00" + path.read_bytes()[8:]), "version 9.0 of the format"),
        (lambda path: path.write_bytes(path.read_bytes()[:10] + b"(" * 5000), "no .npy header"),
        (header(shape=(-2, -3, 4)), "gives the shape"),
        (header(shape=(True, 24)), "gives the shape"),
        (header(shape=(2**40, 2**40)), "cut off"),
        (header(shape=(2**32, 2**32, 2**32, 0, 7)), "48 bytes too long"),
        (header(shape=(10**30,)), "cut off"),
        (header(shape="x"), "no .npy header"),
        (header(descr="<f4"), "cut off"),
        (header(descr="<f1"), "no .npy header"),
        (header(descr="|O"), "Python objects"),
        (header(descr="<U6"), "expected numbers"),
        (header(descr=[("a", "<f2")]), "expected numbers"),
        (header(descr="<c8", shape=(6,)), "expected numbers"),
    ],
)
def test_a_damaged_or_false_header_is_an_error_that_names_the_file(
    damage: Callable[[Path], object], what: str, file: Path
) -> None:
    damage(file)
    with pytest.raises(DataError) as caught:
        open_array(file)
    (problem,) = caught.value.problems
    assert problem.file == str(file) and what in problem.what


def test_an_object_array_is_never_unpickled(file: Path) -> None:
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        open_array(file)


def test_what_is_no_file_is_refused_without_waiting(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name, what in (("absent", "not found"), ("pipe", "is a named pipe"), ("link", "is a device"), ("", "a folder")):
        with pytest.raises(DataError, match=what):
            open_array(tmp_path / name)
