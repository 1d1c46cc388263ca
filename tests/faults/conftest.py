from __future__ import annotations

import importlib.util

import pytest

from tests.ray_cluster import LocalCluster, shared_cluster


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """Two nodes on this machine, the same ones for every test of the session."""
    for module in ("ray", "optuna", "mlflow"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return shared_cluster()
