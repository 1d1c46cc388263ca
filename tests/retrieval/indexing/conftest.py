"""A table of its own for each test that changes it, indexed by a run that is shared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from raytrain.retrieval.indexing.index_run import index_run
from tests.retrieval.indexing import changing

QUIET: dict[str, Any] = {"device": "cpu", "progress": None, "shard_items": 4}


@pytest.fixture(scope="session")
def first_table(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    return changing.table(tmp_path_factory.mktemp("first"), models, range(10))


@pytest.fixture(scope="session")
def later_table(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """Without pictures 2 and 5, with 10 to 12, and with another picture 7."""
    return changing.table(tmp_path_factory.mktemp("later"), models, [0, 1, 3, 4, 6, 7, 8, 9, 10, 11, 12], {7})


@pytest.fixture
def table(first_table: Path, tmp_path: Path) -> Path:
    """Ten pictures; `changing.becomes` puts another table in its place."""
    return Path(shutil.copytree(first_table, tmp_path / "table"))


@pytest.fixture
def indexed(run: Path, table: Path, tmp_path: Path) -> Path:
    """An index of the ten pictures, in shards of four."""
    index_run(run, table, tmp_path / "index", **QUIET)
    return tmp_path / "index"
