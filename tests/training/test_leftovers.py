"""Parts that killed writers left are swept; those of live writers stay, with and without locks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.table import Table
from raytrain.training import checkpoint, leftovers
from tests.training.test_checkpoint import write


def test_parts_of_killed_writers_are_swept_and_those_of_live_ones_stay(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    finished = write(folder, table, 1)
    left = folder / ".part_left"
    shutil.copytree(finished, left)
    (folder / ".part_file").write_text("")
    live = folder / ".part_live"
    live.mkdir()
    handle = os.open(live, os.O_RDONLY)
    assert leftovers.try_lock(handle)  # as `save` holds it
    assert leftovers.sweep_leftovers(folder) == [left]
    assert live.exists() and not left.exists()
    os.close(handle)
    assert leftovers.sweep_leftovers(folder) == [live]
    assert checkpoint.complete(folder) == [finished]
    # where files cannot be locked, by their age
    live.mkdir()
    monkeypatch.setattr(leftovers, "try_lock", lambda handle: None)
    assert leftovers.sweep_leftovers(folder) == []
    os.utime(live, (0, 0))
    assert leftovers.sweep_leftovers(folder) == [live]


def test_a_writer_holds_its_part_against_the_sweep(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[Path] = []
    save = torch.save

    def sweep_meanwhile(*given: Any) -> None:
        swept.extend(leftovers.sweep_leftovers(tmp_path))
        save(*given)

    monkeypatch.setattr(torch, "save", sweep_meanwhile)
    write(tmp_path, table, 1)
    assert swept == []
    assert checkpoint.complete(tmp_path) == [tmp_path / "checkpoint_00000001"]
