"""Exports that the tests of this folder share, and only read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import open_run


@pytest.fixture(scope="session")
def export_of(tmp_path_factory: pytest.TempPathFactory, run_of: Callable[[str], Path]) -> Callable[[str], Path]:
    """The portable form of a run of `run_of`, without a gallery; written once."""

    @functools.cache
    def folder(name: str) -> Path:
        run = open_run(run_of(name), torch.device("cpu"))
        return write_portable(run, tmp_path_factory.mktemp("export") / "model")

    return folder


@pytest.fixture(scope="session")
def with_gallery(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """The portable form of the run of two views, with the images of its table."""
    opened = open_run(run, torch.device("cpu"))
    return write_portable(opened, tmp_path_factory.mktemp("export") / "model", with_gallery=True)
