"""Atomic writes, locks, hashes and full disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from raytrain import files
from raytrain.errors import DiskFullError
from raytrain.files import (
    is_locked,
    locked,
    make_secret,
    need_room,
    others_may_read,
    plain_name,
    replacing,
    room_in,
    sha256,
    size,
    sync,
    write_json,
)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(1 << 20)])
def test_a_hash_covers_the_whole_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_json_is_written_as_text_and_only_under_its_own_name(tmp_path: Path) -> None:
    path = write_json(tmp_path / "x.json", {"ü": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": [1, None]}
    assert "ü" in path.read_text(encoding="utf-8")  # not escaped
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": 1}


def test_of_several_writers_the_last_wins_and_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    with contextlib.suppress(OSError), replacing(path) as third:
        third.write_text("half")
        raise OSError
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_folders_can_be_flushed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    sync(tmp_path / "x")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "absent")


def test_a_lock_excludes_others_until_its_body_ends_even_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    with pytest.raises(ZeroDivisionError), locked(path, wait=False):
        raise ZeroDivisionError
    with locked(path, wait=False):
        pass


def test_a_file_system_without_locks_is_used_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    (tmp_path / "lock").touch()
    entered = False
    with locked(tmp_path / "lock"):
        entered = True
    assert entered


def test_a_lock_is_told_where_only_files_open_for_writing_are_locked_exclusively_as_on_nfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def of_nfs(file: IO[bytes], operation: int) -> None:
        access = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and access == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, operation)

    monkeypatch.setattr(files.fcntl, "flock", of_nfs)
    path = tmp_path / "lock"
    path.touch()
    assert not is_locked(path)
    with open(path, "rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        assert is_locked(path)
        assert not is_locked(path, shared=True)


def caused(error: Exception) -> Exception:
    """An error that another one led to."""
    outer = RuntimeError("could not write")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota is used up"),
        (OSError(errno.EFBIG, "File too large"), "grows beyond what the file system"),
        (caused(OSError(errno.ENOSPC, "No space left on device")), "the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),  # as safetensors does
    ],
)
def test_a_full_disk_is_an_error_that_names_the_folder_and_what_was_written(
    error: Exception, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DiskFullError) as caught, room_in(tmp_path, "a table", "build it again"):
        raise error
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: no room for a table: ")
    assert reason in message and message.endswith("make room and build it again")
    assert caught.value.__cause__ is error


def test_other_errors_and_one_that_is_explained_already_pass_unchanged(tmp_path: Path) -> None:
    for error in (OSError(errno.EACCES, "Permission denied"), KeyError("x"), DiskFullError("explained")):
        with pytest.raises(type(error)) as caught, room_in(tmp_path, "a table"):
            raise error
        assert caught.value is error


def test_a_folder_that_is_not_made_yet_has_no_free_space_to_report(tmp_path: Path) -> None:
    message = r"absent: no room for x: the disk is full \(0 bytes free there\)"
    with pytest.raises(DiskFullError, match=message), room_in(tmp_path / "absent", "x"):
        raise OSError(errno.ENOSPC, "")


def test_too_little_room_is_reported_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    need_room(tmp_path, 1000, "a copy")
    with pytest.raises(DiskFullError, match=r"a copy takes 1\.5 kB and 1\.0 kB are free there: 500 bytes are missing"):
        need_room(tmp_path, 1500, "a copy")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (43_520, "43.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")],
)
def test_sizes_are_given_in_the_largest_unit_that_fits(count: float, text: str) -> None:
    assert size(count) == text


def test_a_plain_name_has_no_sign_that_a_name_of_a_run_may_not_have() -> None:
    assert [plain_name(path) for path in ("/x/my data (1)/", "tables/été", "a.b-c_1", "/")] == [
        "my-data-1", "t", "a.b-c_1", "",
    ]  # fmt: skip


def test_a_secret_is_its_owners_and_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    make_secret(path, "first")
    make_secret(path, "second")
    assert path.read_text() == "first" and not others_may_read(path)
    path.chmod(0o604)
    assert others_may_read(path)
