"""The tables of the steps that run on a fake or a real GPU."""

from __future__ import annotations

import pytest

from raytrain.data.table import Table
from tests.gpu.steps import make_tables


@pytest.fixture(scope="session")
def gpu_tables(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The tables of tests/gpu/steps.py."""
    return make_tables(tmp_path_factory.mktemp("gpu"))
