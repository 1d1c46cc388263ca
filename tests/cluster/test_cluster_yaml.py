"""cluster.yaml against the launcher's own checks, offline."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

PATH = Path(__file__).parents[2] / "cluster.yaml"


@pytest.fixture(scope="module")
def described() -> dict:
    return yaml.safe_load(PATH.read_text(encoding="utf-8"))


def test_the_launcher_accepts_it(described: dict) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason="Ray is not installed")
    prepared = util.prepare_config(described)
    util.validate_config(prepared)
    assert prepared["available_node_types"]["gpu_worker"]["max_workers"] == 8


def test_every_node_starts_with_token_authentication(described: dict) -> None:
    for part in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in described[part] if "ray start" in command]
        assert len(starts) == 1
        assert "RAY_AUTH_MODE=token" in starts[0]
        assert "RAY_AUTH_TOKEN_PATH=" in starts[0]


def test_the_dashboard_is_not_offered_to_the_network(described: dict) -> None:
    assert any("--dashboard-host=127.0.0.1" in command for command in described["head_start_ray_commands"])


def test_it_holds_no_secret() -> None:
    text = PATH.read_text(encoding="utf-8").lower()
    for word in ("aws_secret", "aws_access_key", "password", "ray_auth_token=", "begin rsa"):
        assert word not in text
