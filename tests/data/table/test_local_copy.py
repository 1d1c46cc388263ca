"""Copies of feature files on a host's own disk."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.table import Table
from raytrain.data.table import local_copy as module
from raytrain.data.table.local_copy import local_copy
from raytrain.errors import DiskFullError, RefusedError
from raytrain.files import sha256
from tests.tables import make_table


@pytest.fixture
def made(tmp_path: Path) -> Table:
    return make_table(tmp_path / "table")


def feature(table: Table) -> Path:
    return table.path / "features" / "lite0.npy"


def test_features_are_read_from_a_copy_that_is_made_once(made: Table, tmp_path: Path) -> None:
    own = tmp_path / "own" / "disk"
    table = Table(made.path, own)
    assert np.array_equal(table.array("lite0"), made.array("lite0"))
    copy = own / f"{made.features['lite0'].sha256}.npy"
    assert Path(str(table.array("lite0").filename)) == copy  # type: ignore[attr-defined]
    before = copy.stat().st_mtime_ns
    feature(made).unlink()  # the storage path is not read again
    assert table.array("lite0").shape == made.features["lite0"].shape
    assert copy.stat().st_mtime_ns == before
    assert not list(own.glob("*.part"))


def test_processes_of_a_host_that_come_together_make_one_copy(
    made: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_asked = []
    real = module.need_room
    monkeypatch.setattr(module, "need_room", lambda *given: (room_asked.append(given), real(*given)))
    copies: list[Path] = []
    digest = sha256(feature(made))
    threads = [
        threading.Thread(target=lambda: copies.append(local_copy(feature(made), digest, tmp_path / "own")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 4 and len(set(copies)) == 1
    assert len(room_asked) == 1
    assert sha256(copies[0]) == digest


def test_a_copy_that_a_kill_cut_off_is_begun_anew(made: Table, tmp_path: Path) -> None:
    digest = sha256(feature(made))
    (tmp_path / f"{digest}.part").write_bytes(b"half of it")
    assert sha256(local_copy(feature(made), digest, tmp_path)) == digest
    assert not (tmp_path / f"{digest}.part").exists()


def test_a_file_that_is_not_the_tables_is_no_copy(made: Table, tmp_path: Path) -> None:
    with open(feature(made), "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01" if file.read(1) != b"\x01" else b"\x02")
    with pytest.raises(RefusedError, match=r"lite0\.npy.*its table says.*--replace"):
        Table(made.path, tmp_path / "own").array("lite0")
    assert not list((tmp_path / "own").glob("*.npy")) and not list((tmp_path / "own").glob("*.part"))


def test_a_disk_without_room_is_told_of_before_anything_is_copied(
    made: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.files.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    with pytest.raises(DiskFullError, match="a copy of"):
        local_copy(feature(made), sha256(feature(made)), tmp_path / "own")
    assert not list((tmp_path / "own").glob("*.npy"))
