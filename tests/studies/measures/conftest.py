"""A RAU run of one step, and a DVSE run of one step."""

from __future__ import annotations

import pytest

from raytrain.config import override
from raytrain.recipes import RECIPES
from raytrain.studies.measured_run import MeasuredRun
from raytrain.tracking.run_record import read_run
from raytrain.training.run import train
from tests.tables import make_query_table


@pytest.fixture(scope="module")
def composed_run(tmp_path_factory: pytest.TempPathFactory) -> MeasuredRun:
    root = tmp_path_factory.mktemp("composed")
    changes = {
        "name": "rau", "storage": str(root / "runs"), "data.table": str(make_query_table(root / "table").path),
        "encoder.dim": 8, "optim.num_epochs": 1, "optim.max_steps": 1, "optim.batch_size": 20,
        "method.theta": 0.5, "method.theta_mode": "quantile",
    }  # fmt: skip
    config = override(RECIPES["rau_products_linear"](), changes)
    train(config)
    return MeasuredRun(read_run(config.folder))
