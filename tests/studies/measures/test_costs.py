"""Costs of runs of captions and of composed queries that were trained for a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.config import override
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures import costs
from raytrain.tracking.run_record import read_run
from raytrain.training.memory import Estimate
from raytrain.training.run import train
from tests.studies.in_process import recipe


def check_costs(run: MeasuredRun) -> None:
    assert costs.parameters(run) == sum(p.numel() for p in run.model.parameters()) / 1000
    step = costs.step_ms(run)
    assert step is not None and step > 0 and costs.query_ms(run) > 0


def test_composed_queries_have_positive_costs(composed_run: MeasuredRun) -> None:
    check_costs(composed_run)


def test_captions_have_positive_costs(tmp_path: Path) -> None:
    config = override(recipe(tmp_path), {"name": "captions"})
    train(config)
    check_costs(MeasuredRun(read_run(config.folder)))


def test_memory_is_that_of_a_gpu_or_is_not_measured(composed_run: MeasuredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "default_device", lambda: torch.device("cpu"))
    assert costs.training_mib(composed_run) is None
    monkeypatch.setattr(costs, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(costs, "estimate", lambda config, device, share: Estimate(3 * 2**20, 2**30))
    assert costs.training_mib(composed_run) == 3
