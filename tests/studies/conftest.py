"""Where a whole study runs in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.config import RunConfig, to_yaml
from tests.studies import in_process


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, no_cluster: None, tmp_path: Path) -> RunConfig:
    """The recipe, which is `tmp_path`/small.yaml too; `raytrain study run` trains in this process."""
    in_process.register(monkeypatch)
    in_process.TRAINED.clear()
    monkeypatch.setattr("raytrain.studies.train.run_on_tune", in_process.trials_here)
    monkeypatch.setattr("raytrain.studies.train.to_the_end", lambda ledger, head: None)
    monkeypatch.setattr("raytrain.studies.train.connect", lambda address=None: {"address": "127.0.0.1:1"})
    base = in_process.recipe(tmp_path)
    (tmp_path / "small.yaml").write_text(to_yaml(base), encoding="utf-8")
    return base
