"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytrain.data.table import Table
from tests.tables import make_table


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A small table; tests that write to one make their own."""
    return make_table(tmp_path_factory.mktemp("tables") / "small")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real development data; tests that need it skip without it."""
    path = Path(os.environ.get("RAYTRAIN_TEST_DATA", "../shared/data"))
    if not path.is_dir():
        pytest.skip("no real data here; RAYTRAIN_TEST_DATA names its folder")
    return path
