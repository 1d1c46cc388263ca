"""Tables, models and a finished run that the tests of this folder share, and only read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raytrain.data.encode.encode import encode
from raytrain.data.table import Table
from raytrain.retrieval import Retriever
from raytrain.retrieval.load import load
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import open_run
from tests.retrieval import runs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Table:
    """16 pictures with two captions each; float32 features, those of a second image encoder among them."""
    table = runs.encoded(tmp_path_factory.mktemp("pictures") / "table", models)
    encode(table.path, str(models / "wide_vit"), dtype="float32", progress=None)
    return Table(table.path)


@pytest.fixture(scope="session")
def triplets(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Table:
    """12 pictures with composed queries; float32 features."""
    return runs.encoded(tmp_path_factory.mktemp("triplets") / "table", models, composed=True)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, pictures: Table) -> Path:
    """A finished DVSE run of two views."""
    return runs.trained(pictures, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def composed_run(tmp_path_factory: pytest.TempPathFactory, triplets: Table) -> Path:
    """A finished run of composed retrieval, which adds reference and text up."""
    changes = {"method__kind": "composed", "method__composition": "sum", "encoder__pooling": "mean",
               "optim__batch_size": 2}  # fmt: skip
    return runs.trained(triplets, tmp_path_factory.mktemp("composed"), **changes)


@pytest.fixture(scope="session")
def retriever(run: Path) -> Retriever:
    return load(run, device="cpu")


@pytest.fixture(scope="session")
def composed_retriever(composed_run: Path) -> Retriever:
    return load(composed_run, device="cpu")


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory, models: Path, pictures: Table) -> Callable[[str], Path]:
    """The folder of the run of that name in runs.RUNS or runs.MORE_RUNS, or of "trained backbones"; trained once."""
    changes = {**runs.RUNS, **runs.MORE_RUNS, "trained backbones": runs.trains(models)}

    @functools.cache
    def folder(name: str) -> Path:
        return runs.trained(pictures, tmp_path_factory.mktemp("run"), **changes[name])

    return folder


@pytest.fixture(scope="session")
def with_gallery(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """The portable form of the run of two views, with the images of its table."""
    opened = open_run(run, torch.device("cpu"))
    return write_portable(opened, tmp_path_factory.mktemp("export") / "model", with_gallery=True)


@pytest.fixture(scope="session")
def export_of(tmp_path_factory: pytest.TempPathFactory, run_of: Callable[[str], Path]) -> Callable[[str], Path]:
    """The portable form of a run of `run_of`, without a gallery; written once."""

    @functools.cache
    def folder(name: str) -> Path:
        run = open_run(run_of(name), torch.device("cpu"))
        return write_portable(run, tmp_path_factory.mktemp("export") / "model")

    return folder
