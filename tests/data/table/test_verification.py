"""A file is hashed once per version: a note spares the second time, and every change of the file spoils the note."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from raytrain.data.table import verification
from raytrain.data.table.verification import FOLDER, Version, record, verify
from raytrain.errors import DataError
from raytrain.files import sha256

CONTENT = b"features" * 100


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "table").mkdir()
    path = tmp_path / "table" / "lite0.npy"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files that were hashed, in order; every file is large enough to be noted."""
    files: list[Path] = []
    compare: Callable[..., None] = verification._compare
    monkeypatch.setattr(verification, "_compare", lambda path, *more: (files.append(path), compare(path, *more)))
    monkeypatch.setattr(verification, "NOTED_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return files


def test_a_version_of_a_file_is_hashed_once(file: Path, hashed: list[Path]) -> None:
    digest = sha256(file)
    for _ in range(3):
        verify(file, digest, file.parent)
    assert hashed == [file]
    verify(file, digest, file.parent, again=True)  # as `data check` does
    assert hashed == [file] * 2


def test_small_files_are_hashed_each_time_and_leave_nothing_behind(file: Path) -> None:
    verify(file, sha256(file), file.parent)
    assert list(file.parent.iterdir()) == [file]


def _in_place_with_the_old_times(path: Path) -> None:
    status = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _by_another_file_of_the_same_size_and_time(path: Path) -> None:
    status = path.stat()
    other = path.with_name("other.npy")
    other.write_bytes(CONTENT[::-1])
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(CONTENT[:-1] + b"x"),
        lambda path: path.write_bytes(CONTENT + b"x"),
        _in_place_with_the_old_times,
        _by_another_file_of_the_same_size_and_time,
    ],
)
def test_a_changed_file_is_hashed_again_and_refused(
    change: Callable[[Path], object], file: Path, hashed: list[Path]
) -> None:
    digest = sha256(file)
    verify(file, digest, file.parent)
    change(file)
    with pytest.raises(DataError, match=r"lite0\.npy: changed after it was .* says " + digest[:9]):
        verify(file, digest, file.parent)
    assert hashed == [file] * 2


def test_a_table_that_cannot_be_written_to_is_noted_in_the_users_cache(
    file: Path, hashed: list[Path], tmp_path: Path
) -> None:
    (file.parent / FOLDER).write_text("in the way, as a folder without rights is")
    for _ in range(2):
        verify(file, sha256(file), file.parent)
    assert hashed == [file]
    assert len(list((tmp_path / "cache" / "raytrain" / "verified").rglob("*.json"))) == 1


def test_without_a_place_for_notes_it_is_hashed_each_time_and_this_is_told(
    file: Path, hashed: list[Path], tmp_path: Path
) -> None:
    (file.parent / FOLDER).write_text("")
    (tmp_path / "cache").write_text("")
    lines: list[str] = []
    for _ in range(2):
        verify(file, sha256(file), file.parent, say=lines.append)
    assert hashed == [file] * 2
    assert "at every start" in lines[0] and str(tmp_path / "cache") in lines[0]


def test_a_long_hash_is_told_and_a_short_one_is_silent(
    file: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    verify(file, sha256(file), file.parent, say=lines.append)
    assert lines == []
    monkeypatch.setattr(verification, "SAY_EVERY_S", -1.0)
    verify(file, sha256(file), file.parent, again=True, say=lines.append)
    assert lines == [f"verifying {file}: 800 bytes of 800 bytes, once for this version of the file"]


def test_processes_that_come_together_hash_a_file_once(file: Path, hashed: list[Path]) -> None:
    digest = sha256(file)
    threads = [threading.Thread(target=verify, args=(file, digest, file.parent)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hashed == [file]


def test_a_damaged_note_counts_as_none(file: Path, hashed: list[Path]) -> None:
    digest = sha256(file)
    record(file, digest, file.parent)
    verify(file, digest, file.parent)
    assert hashed == []
    (note,) = (file.parent / FOLDER).glob("*.json")
    for content in ("", "[]", '{"inode": "x"}', note.read_text().replace(str(Version.of(file).inode), "1")):
        note.write_text(content)
        verify(file, digest, file.parent)
    assert hashed == [file] * 4


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("absent", "not found"), ("pipe", "is a named pipe, not a file"), ("", "is a folder")):
        with pytest.raises(DataError, match=what):
            verify(tmp_path / name, "0" * 64, tmp_path)
