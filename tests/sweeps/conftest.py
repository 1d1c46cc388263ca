"""Where a whole sweep runs in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from raytrain.config import override, to_yaml
from raytrain.sweeps.ledger import Ledger
from raytrain.tracking.mirror import Mirror
from search_spaces import SPACES
from tests.runs import small_run
from tests.sweeps.in_process import Place, TrainsHere, honest, trials_here
from tests.sweeps.small_sweep import SIX


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, no_cluster: None, tmp_path: Path) -> Iterator[Place]:
    """Where `raytrain sweep honest` runs in this process, from its command line down to the loop."""
    from ray.train import UserCallback

    monkeypatch.setitem(SPACES, "honest", honest)
    monkeypatch.setattr("raytrain.sweeps.sweep.run_trials", trials_here)
    monkeypatch.setattr("ray.train.torch.TorchTrainer", TrainsHere)
    monkeypatch.setattr("ray.train.torch.get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr("ray.train.report", lambda *given, **more: None)
    monkeypatch.setattr("ray.tune.report", lambda *given, **more: None)
    monkeypatch.setattr("ray.tune.integration.ray_train.TuneReportCallback", UserCallback)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    place = Place(tmp_path)
    (tmp_path / "run.yaml").write_text(to_yaml(override(small_run(tmp_path), {"optim.max_steps": 1})))
    yield place
    dist.destroy_process_group()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Of a sweep "s" of six trials, none of which has begun."""
    base = override(small_run(tmp_path), {"name": "s"})
    base.folder.mkdir(parents=True)
    return Ledger(base, "s", SIX, Mirror(None))
