"""Writing tables, and adding features to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import UsageError
from tests.tables import make_table


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "t", source={}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_replacing_keeps_the_old_table(tmp_path: Path) -> None:
    before = make_table(tmp_path / "t")
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "t", source={}):
        raise RuntimeError
    assert Table(tmp_path / "t").fingerprint == before.fingerprint


def test_a_folder_that_is_no_table_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and is no table"), TableWriter(tmp_path / "mine", source={}):
        pass
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_the_description_lists_the_hash_of_every_file(table: Table) -> None:
    description = json.loads((table.path / "table.json").read_text(encoding="utf-8"))
    assert set(description["files"]) == {"items.arrow", "texts.arrow"}
    assert all(len(feature["sha256"]) == 64 for feature in description["features"].values())
