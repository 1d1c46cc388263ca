"""The folder of our own Ray: new, of mode 0700, short enough for sockets, and swept once its process has ended."""

from __future__ import annotations

import atexit
import os
import stat
import tempfile
from pathlib import Path

import pytest

from raytrain.cluster import private_folder as module
from raytrain.cluster.private_folder import private_folder
from raytrain.errors import RefusedError, UsageError


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, with a short path; nothing is left to do when this process ends."""
    with tempfile.TemporaryDirectory(prefix="pf", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setattr(atexit, "register", lambda *given: None)
        yield Path(folder)


def test_the_folder_is_new_and_of_its_user_alone_whatever_the_umask(parent: Path) -> None:
    before = os.umask(0)
    try:
        folders = [private_folder() for _ in range(2)]
    finally:
        os.umask(before)
    assert folders[0] != folders[1]
    for folder in folders:
        assert folder.name == module.WITHIN and folder.parent.parent == parent
        facts = folder.parent.lstat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid) == (0o700, os.getuid())
        folder.chmod(0o777)  # as Ray does with the folder that it is given
        socket = folder / "session_2026-01-01_00-00-00_000000_4194304/sockets/dash_MetricsHead"
        assert len(os.fsencode(socket)) <= 107


def test_a_long_path_for_temporary_files_is_not_used(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = parent / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = private_folder().parent
    assert folder.parent == Path("/tmp")
    assert module.tmpdir_of_ray(folder / module.WITHIN) == {"TMPDIR": str(folder / module.WITHIN)}
    assert module.tmpdir_of_ray(long / "rtray-abcdefgh") == {}
    (folder / module.WITHIN).rmdir()
    folder.rmdir()
    monkeypatch.setattr(module, "RAY_ADDS_BYTES", 107)
    with pytest.raises(UsageError, match="too long a path for Ray's sockets; set TMPDIR"):
        private_folder()


@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o770, True), (0o1777, False), (0o755, False)])
def test_a_folder_that_others_could_replace_is_not_made(mode: int, refused: bool, parent: Path) -> None:
    parent.chmod(mode)
    if refused:
        with pytest.raises(RefusedError, match="others may replace what lies in"):
            private_folder()
        assert not list(parent.iterdir())
    else:
        private_folder()


def test_a_folder_that_somebody_changes_is_not_used(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def opened(**options: str) -> str:
        folder = make(**options)
        os.chmod(folder, 0o755)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", opened)
    with pytest.raises(RefusedError, match="was changed by somebody else"):
        private_folder()


def test_folders_of_ended_processes_are_swept_and_those_of_live_ones_stay(parent: Path) -> None:
    live = private_folder().parent
    left, new, other = (parent / f"rtray-{name}" for name in ("abcdefgh", "newnewne", "a-longer-name"))
    for folder in (left, new, other):
        (folder / "r").mkdir(parents=True)
    for folder in (live, left, other):
        os.utime(folder, (0, 0))
    private_folder()
    assert not left.exists() and live.exists() and new.exists() and other.exists()
