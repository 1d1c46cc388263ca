"""What tests of finished runs share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import Tensor

from raytrain.data.table import Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.temperature_search import search
from raytrain.evaluation.temperature_search.choice import OFF, Choice, HeldOut, Setting
from raytrain.training.run import train
from tests.review.made_runs import write_search
from tests.runs import tiny


@pytest.fixture
def best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the best of all settings: a made-up run has too few queries for a gain beyond its standard error."""

    def choose(recalls: Mapping[Setting, Tensor]) -> Choice:
        best = max(recalls, key=lambda setting: float(recalls[setting].mean()))
        return Choice(best, HeldOut(recalls[OFF], recalls[best]))

    monkeypatch.setattr(search, "choose", choose)


@pytest.fixture(scope="session")
def two_runs(table: Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished DVSE run with temperatures, and a finished VSE-infinity run on the same table."""
    storage = tmp_path_factory.mktemp("two")
    methods = {"dvse": {"method__kind": "dvse", "method__views": 2}, "vse": {"method__kind": "vse_infinity"}}
    folders = []
    for name, method in methods.items():
        config = tiny(table, storage, name=name, optim__max_steps=3, **method)
        train(config)
        folders.append(config.folder)
    write_search(folders[0], {}, Temperatures("cross", 4.0, 4.0))
    return folders[0], folders[1]


@pytest.fixture
def copies(two_runs: tuple[Path, Path], table: Table, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of both runs, and nobody has opened the test split of their table yet."""
    (table.path / OPENINGS).unlink(missing_ok=True)
    first, second = (Path(shutil.copytree(run, tmp_path / "default" / run.name)) for run in two_runs)
    return first, second
